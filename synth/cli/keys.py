"""``synth keys``: who may use a server of this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from synth.cli.output import AsJson, print_json, print_table

app = typer.Typer(help="Make, list and revoke the API keys of synth serve.", rich_markup_mode=None)


@app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is, or what it is for.")],
    rate: Annotated[
        str | None,
        typer.Option(metavar="RATE", help="Requests, as in 100/minute; instead of SYNTH_RATE."),
    ] = None,
    quota: Annotated[
        int | None, typer.Option(metavar="IMAGES", help="Images in a day; instead of SYNTH_QUOTA.", min=0)
    ] = None,
) -> None:
    """Make a key and print it, this once: only its digest is kept, in SYNTH_HOME/keys.json.

    From the first key on, servers ask everybody for one.
    """
    from synth.serving.keys import KeyFile

    key, token = KeyFile().create(name, rate=rate, quota=quota)
    typer.echo(token)
    typer.echo(f"Made key {key.name} ({key.id}). Write it down: it cannot be shown again.", err=True)


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List the keys, without their secrets."""
    from synth.serving.keys import KeyFile

    keys = list(KeyFile().keys().values())
    if as_json:
        print_json([key.model_dump(mode="json", exclude={"digest"}) for key in keys])
    elif keys:
        print_table(
            ("ID", "NAME", "RATE", "IMAGES A DAY", "CREATED"),
            [
                (
                    key.id,
                    key.name,
                    key.rate or "default",
                    "default" if key.quota is None else f"{key.quota:,}",
                    f"{key.created:%Y-%m-%d %H:%M}",
                )
                for key in keys
            ],
        )
    else:
        typer.echo("There are no keys; make one with synth keys create NAME.", err=True)


@app.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(metavar="KEY", help="Name or id.")]) -> None:
    """Revoke a key; running servers refuse it from their next request on."""
    from synth.serving.keys import KeyFile

    keys = KeyFile()
    revoked = keys.revoke(key)
    typer.echo(f"Revoked {revoked.name} ({revoked.id}).", err=True)
    if not keys.keys():
        typer.echo(
            f"No key is left, and nobody gets in. To ask for none again, remove {keys.path}.", err=True
        )
