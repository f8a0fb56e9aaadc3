"""``synth models``: look at the generators in the store, adopt, alias and remove them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synth.cli.output import AsJson, print_fields, print_json, print_table
from synth.errors import UsageError
from synth.text import plural, some

if TYPE_CHECKING:
    from synth.artifacts import Artifact, Entry, ModelCard
    from synth.artifacts.manifest import TrainingInfo

app = typer.Typer(help="List, show, import, alias and remove generators.", rich_markup_mode=None)

ModelReference = Annotated[
    str, typer.Argument(metavar="MODEL", help="NAME, NAME@latest, NAME@3 or NAME@ALIAS.")
]
StoreFolder = Annotated[
    Path | None, typer.Option("--store", metavar="DIR", help="Folder of models, instead of SYNTH_HOME/store.")
]


@app.command("list")
def list_models(store: StoreFolder = None, as_json: AsJson = False) -> None:
    """List every version of every model in the store, damaged ones too."""
    from synth.artifacts import Store

    models = Store(store)
    entries = models.list()
    if as_json:
        print_json([_entry_dict(entry) for entry in entries])
    elif entries:
        print_table(
            ("MODEL", "FAMILY", "IMAGE", "CLASSES", "TRAINED ON", "CREATED"),
            [_row(entry) for entry in entries],
        )
        for entry in entries:
            if entry.error is not None:
                typer.echo(f"damaged: {entry.reference}: {entry.error}", err=True)
    else:
        typer.echo(f"There is no model in {models.root}; make one with synth train.", err=True)


@app.command("show")
def show_model(model: ModelReference, store: StoreFolder = None, as_json: AsJson = False) -> None:
    """Show what is known of one model."""
    from synth.artifacts import Store

    artifact = Store(store).open(model)
    if as_json:
        print_json({**artifact.card.as_dict(), "path": str(artifact.path)})
    else:
        print_fields(_fields(artifact))


@app.command("import")
def import_model(
    pipeline: Annotated[
        str,
        typer.Argument(
            metavar="PIPELINE", help="Folder of a diffusers pipeline, or its OWNER/NAME on the hub."
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="What to call the model in the store.")],
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes", metavar="A,B,...", help="Class names: each takes the place of {class} in the prompt."
        ),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", help="Default prompt, as in 'a photo of a {class}'.")
    ] = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Adopt a diffusers pipeline that was trained elsewhere. No pickles are read, and no code is run."""
    from synth.artifacts import Store, check_name
    from synth.pipelines import adopt, locate

    check_name(name)
    names = None if classes is None else [one.strip() for one in classes.split(",")]
    draft = adopt(locate(pipeline), source=pipeline, classes=names, prompt=prompt)
    artifact = Store(store).publish(draft, name)
    if as_json:
        print_json({**artifact.card.as_dict(), "path": str(artifact.path)})
    else:
        typer.echo(artifact.card.reference)


@app.command("remove")
def remove_model(
    model: ModelReference,
    all_versions: Annotated[
        bool, typer.Option("--all-versions", help="Remove every version of the name.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    store: StoreFolder = None,
) -> None:
    """Remove one version of a model, or all. The data sets made with it stay."""
    from synth.artifacts import Store

    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"Removing {model} cannot be undone, and there is nobody to ask: add --yes.")
        what = f"all versions of {model}" if all_versions else model
        if not typer.confirm(f"Remove {what} for good?", err=True):
            typer.echo("Nothing removed.", err=True)
            raise typer.Exit(1)
    for reference in Store(store).remove(model, all_versions=all_versions):
        typer.echo(f"Removed {reference}.", err=True)


@app.command("alias")
def alias_model(
    model: ModelReference,
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="As in NAME@stable.")],
    remove: Annotated[bool, typer.Option("--remove", help="Forget the alias; the version stays.")] = False,
    store: StoreFolder = None,
) -> None:
    """Let NAME@ALIAS mean one version, from now on and for running servers too."""
    from synth.artifacts import Store

    if not remove:
        version = Store(store).set_alias(model, alias)
        typer.echo(f"{version.partition('@')[0]}@{alias} is {version}.", err=True)
        return
    if "@" in model:
        raise UsageError(
            f"Give the name alone: synth models alias {model.partition('@')[0]} {alias} --remove"
        )
    Store(store).remove_alias(model, alias)
    typer.echo(f"Removed {model}@{alias}; the version that it meant stays.", err=True)


def _entry_dict(entry: Entry) -> dict[str, Any]:
    if entry.card is None:
        return {"reference": entry.reference, "path": str(entry.path), "error": entry.error}
    return {**entry.card.as_dict(), "path": str(entry.path), "error": None}


def _row(entry: Entry) -> tuple[str, ...]:
    card = entry.card
    if card is None:
        return (entry.reference, "damaged", "", "", "", "")
    classes = "none" if card.classes is None else str(len(card.classes))
    created = f"{card.created:%Y-%m-%d %H:%M}"
    return (
        entry.reference,
        card.family,
        _image(card),
        classes,
        plural(card.training_images, "image") if card.training_images else "not known",
        created,
    )


def _image(card: ModelCard) -> str:
    return f"{card.image.height}x{card.image.width} {'grey' if card.image.channels == 1 else 'RGB'}"


def _limits(card: ModelCard) -> list[tuple[str, str]]:
    """What there is to say of a model that makes images, but none from nothing."""
    from synth.families import generates, makes_images

    if not makes_images(card.family) or generates(card.family):
        return []
    return [("makes", f"images from images alone: synth translate {card.reference} --data SOURCE --out DIR")]


def _training(training: TrainingInfo) -> list[tuple[str, str]]:
    if not training.images:
        return [("trained on", "not known: it was adopted")]
    return [
        ("trained on", plural(training.images, "image")),
        ("images seen", f"{training.images_seen:,} in {training.seconds:,.0f} s"),
    ]


def _fields(artifact: Artifact) -> list[tuple[str, str]]:
    from synth.artifacts.readme import figure

    card, manifest = artifact.card, artifact.manifest
    fields = [
        ("model", card.reference),
        ("family", card.family),
        *_limits(card),
        ("image", _image(card)),
        ("classes", "none" if card.classes is None else f"{len(card.classes)}: {some(card.classes, 20)}"),
        ("source", manifest.training.source),
        *_training(manifest.training),
        ("parameters", f"{manifest.weights.parameters:,}"),
        ("weights", f"{manifest.weights.bytes / 1e6:,.1f} MB"),
        ("created", f"{card.created:%Y-%m-%d %H:%M:%S %Z}"),
        ("digest", card.digest),
    ]
    fields += [(name, f"{figure(metric)}  ({metric.how})") for name, metric in card.metrics.items()]
    return [
        *fields,
        ("libraries", some([f"{n} {v}" for n, v in manifest.libraries.items()])),
        ("path", str(artifact.path)),
    ]
