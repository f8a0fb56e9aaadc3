"""``synth config``: the settings of a training, before it is started."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synth.cli.output import AsJson, print_json
from synth.families import TRAINED, get_family

app = typer.Typer(help="Look at training recipes and their settings.", rich_markup_mode=None)


@app.command("schema")
def schema(
    family: Annotated[str | None, typer.Argument(metavar="FAMILY", help="Default: all families.")] = None,
) -> None:
    """Print the JSON schema of a family's recipe; without FAMILY, of every family by name."""
    if family is None:
        print_json({name: get_family(name).load("recipe").model_json_schema() for name in TRAINED})
    else:
        print_json(get_family(family).load("recipe").model_json_schema())


@app.command("show")
def show(
    family: Annotated[str, typer.Argument(metavar="FAMILY", help=f"One of: {', '.join(TRAINED)}.")],
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="A recipe in YAML or JSON.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the recipe that a training would use, as YAML that --config reads."""
    import yaml

    from synth.training.recipe import resolve_recipe

    recipe = resolve_recipe(family, config=config, overrides=overrides or [], flags={})
    values = recipe.model_dump(mode="json")
    if as_json:
        print_json(values)
    else:
        typer.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), nl=False)
