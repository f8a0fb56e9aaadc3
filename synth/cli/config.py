"""``synth config``: recipes of trainings and pipelines of augmentation, before they are used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synth.cli.output import AsJson, print_json
from synth.families import TRAINED, get_family

app = typer.Typer(
    help="Look at training recipes, and at what recipes and pipelines may say.", rich_markup_mode=None
)

_PIPELINE = "pipeline"


@app.command("schema")
def schema(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="FAMILY|pipeline",
            help="A family's recipe, or pipelines of augmentation. Default: all, by name.",
        ),
    ] = None,
) -> None:
    """Print the JSON schema of a family's recipe, or of pipelines of augmentation."""
    from synth.augment.schema import pipeline_schema

    if what == _PIPELINE:
        print_json(pipeline_schema())
    elif what is None:
        recipes = {name: _recipe_schema(name) for name in TRAINED}
        print_json({**recipes, _PIPELINE: pipeline_schema()})
    else:
        print_json(_recipe_schema(what))


def _recipe_schema(family: str) -> dict[str, Any]:
    found: dict[str, Any] = get_family(family).load("recipe").model_json_schema()
    return found


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


@app.command("pipeline")
def pipeline(
    pipeline: Annotated[
        str, typer.Argument(metavar="PIPELINE", help="YAML or JSON file, or a preset such as basic.")
    ],
    as_json: AsJson = False,
) -> None:
    """Check a pipeline of augmentation, and print it with all defaults, versions and models filled in.

    Its digest, which servers know it by, is told on stderr.
    """
    import yaml

    from synth.augment import read_specification

    found = read_specification(pipeline)
    typer.echo(f"digest {found.digest}", err=True)
    if as_json:
        print_json(found.plain())
    else:
        typer.echo(yaml.safe_dump(found.plain(), sort_keys=False, allow_unicode=True), nl=False)
