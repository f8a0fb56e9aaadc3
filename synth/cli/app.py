"""The table of verbs."""

from __future__ import annotations

from typing import Annotated

import typer

import synth
from synth.cli.adapt import adapt
from synth.cli.augment import augment
from synth.cli.check import check
from synth.cli.config import app as config_app
from synth.cli.doctor import doctor
from synth.cli.evaluate import evaluate
from synth.cli.generate import generate
from synth.cli.jobs import app as jobs_app
from synth.cli.keys import app as keys_app
from synth.cli.models import app as models_app
from synth.cli.monitor import monitor
from synth.cli.robustness import robustness
from synth.cli.serve import serve
from synth.cli.split import split
from synth.cli.train import train
from synth.cli.translate import translate

app = typer.Typer(
    name="synth",
    help="From a folder of images to a generator of that domain, labelled synthetic data, and a service.",
    epilog="Models, runs and caches live in SYNTH_HOME (default ~/.synth).",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"synth {synth.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Holds the options that come before the verb."""


app.command("train")(train)
app.command("generate")(generate)
app.command("split")(split)
app.command("evaluate")(evaluate)
app.command("check")(check)
app.command("robustness")(robustness)
app.command("translate")(translate)
app.command("augment")(augment)
app.command("adapt")(adapt)
app.command("monitor")(monitor)
app.command("serve")(serve)
app.command("doctor")(doctor)
app.add_typer(models_app, name="models")
app.add_typer(jobs_app, name="jobs")
app.add_typer(keys_app, name="keys")
app.add_typer(config_app, name="config")
