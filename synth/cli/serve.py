"""``synth serve``: images over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    host: Annotated[
        str | None, typer.Option(metavar="HOST", help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Port; 0 takes any free one.", show_default="8000")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of models, instead of SYNTH_HOME/store.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.", show_default="auto")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, 32, bf16 or 16.", show_default="auto")] = None,
    allow_remote: Annotated[
        bool,
        typer.Option(
            "--allow-remote", help="Listen where other machines can reach it. Nobody is asked for a key."
        ),
    ] = False,
) -> None:
    """Serve images from the models of the store over HTTP.

    SIGTERM and Ctrl-C finish what was accepted, and exit with 0; a second Ctrl-C stops at once.

    The environment sets what the options do (SYNTH_PORT and so on), and all that docs/serving.md names.

    Jobs are done by SYNTH_WORKERS processes (default 1) and kept in SYNTH_DATABASE (default
    sqlite:///SYNTH_HOME/jobs.db).
    """
    from synth.serving.server import run
    from synth.serving.settings import load_settings

    settings = load_settings(
        host=host,
        port=port,
        store=store,
        device=device,
        precision=precision,
        allow_remote=allow_remote or None,
    )
    run(settings, say=lambda line: typer.echo(line, err=True))
