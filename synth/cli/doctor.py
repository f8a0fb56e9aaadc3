"""``synth doctor``: what this machine offers, what is wrong with it, and what to do about that."""

from __future__ import annotations

from dataclasses import asdict

import typer

from synth.cli.output import AsJson, print_json


def doctor(as_json: AsJson = False) -> None:
    """Check the installation and this machine.

    The exit code is 1 if something essential fails, and 0 even if optional things are missing.
    """
    from synth.cli.checks import check_all

    checks = check_all()
    failed = any(check.status == "failed" for check in checks)
    if as_json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            typer.echo(f"{check.status:<8} {check.name:<10} {check.detail}")
            if check.remedy:
                typer.echo(f"{'':<19} -> {check.remedy}")
    if failed:
        raise typer.Exit(1)
