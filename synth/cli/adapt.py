"""``synth adapt``: a classifier for a domain without labels, and which way to it is the best."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synth.cli.output import AsJson, parse_size, print_table, require_free
from synth.errors import ConfigError

if TYPE_CHECKING:
    from synth.evaluation.figures import Figure
    from synth.training.adapting import Comparison

_FILE = "adaptation.json"


def adapt(
    source: Annotated[
        str,
        typer.Option("--source", metavar="SOURCE", help="Images with labels: folder, .npz, built-in name."),
    ],
    target: Annotated[
        str,
        typer.Option("--target", metavar="SOURCE", help="Images of the other domain; labels are not read."),
    ],
    name: Annotated[str, typer.Option("--name", help="Models are called NAME-source, NAME-dann and so on.")],
    test: Annotated[
        str | None,
        typer.Option("--test", metavar="SOURCE", help="Labelled images of the target, to measure on alone."),
    ] = None,
    methods: Annotated[
        str,
        typer.Option(
            "--methods", help="Separated by commas: source, coral, dann, translate, translate-dann."
        ),
    ] = "source,coral,dann,translate",
    translator: Annotated[
        str | None,
        typer.Option(
            "--translator",
            metavar="MODEL",
            help="Of translate: from source to target. Default: cut is trained.",
        ),
    ] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", help="Length of each training.")] = None,
    images_seen: Annotated[
        int | None, typer.Option("--images-seen", help="The same in images of the source.")
    ] = None,
    translator_minutes: Annotated[
        float | None,
        typer.Option("--translator-minutes", help="Length of cut's training. Default: --minutes."),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", help="Pixels, or HEIGHTxWIDTH. Default: the source's own size.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", help="tiny (default), small, base or large.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Decides weights, order and changes.")] = None,
    precision: Annotated[str | None, typer.Option("--precision", help="auto, 32, bf16 or 16.")] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="A recipe of classifier in YAML or JSON.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one setting of the classifiers; repeatable."),
    ] = None,
    allow_label_drift: Annotated[
        bool,
        typer.Option(
            "--allow-label-drift", help="Translate though labels may not survive it, or nobody knows."
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with what was interrupted; what is done is not done again."),
    ] = False,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out files that cannot be decoded.")
    ] = False,
    store: Annotated[
        Path | None, typer.Option("--store", help="Folder of models, instead of SYNTH_HOME/store.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help=f"Write {_FILE} there as well, into a new or empty folder.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=f"Replace {_FILE} in --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a classifier for a domain without labels in several ways, compare them, and say which to take.

    source learns from the labelled images alone; coral and dann also from those of the target; translate from
    labelled images that were made to look like the target, and translate-dann from these as dann does. What
    serves the target worse than source is said.
    """
    from synth.artifacts import Store
    from synth.cli.train import reporting
    from synth.training.adapting import Adaptation
    from synth.training.adapting import adapt as train_all

    wanted = [one.strip() for one in methods.split(",") if one.strip()]
    if not wanted:
        raise ConfigError("--methods is empty; name some of source, coral, dann, translate, translate-dann.")
    require_free(out, _FILE, overwrite)
    with reporting() as reporter:
        found = train_all(
            source,
            target,
            Adaptation(
                name=name,
                methods=wanted,
                translator=translator,
                settings={
                    "preset": preset,
                    "minutes": minutes,
                    "images_seen": images_seen,
                    "seed": seed,
                    "precision": precision,
                },
                overrides=overrides or [],
                config=config,
                translator_minutes=translator_minutes,
                allow_label_drift=allow_label_drift,
                resume=resume,
                device=device,
                store=None if store is None else Store(store),
            ),
            test=test,
            size=parse_size(size),
            skip_unreadable=skip_unreadable,
            reporter=reporter,
        )
    if out is not None:
        _write(found, out)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        _print(found)


def _print(found: Comparison) -> None:
    typer.echo(f"{found.source} -> {found.target}, tested on {found.tested_on}")
    print_table(
        ["METHOD", "TARGET ACCURACY", "GAIN, POINTS", "VALIDATION", "INFORMATION", "TRANSFER", "MODEL"],
        [
            [
                one.method,
                _interval(one.accuracy, 1.0, 4),
                "" if one.method == "source" else _interval(one.gain, 100.0, 1),
                f"{one.validation:.4f}",
                f"{one.information:.4f}",
                one.transfer,
                one.model,
            ]
            for one in found.outcomes
        ],
    )
    for one in found.outcomes:
        for note in one.notes:
            typer.echo(f"{one.method}: {note}")
    for note in (*found.notes, *found.warnings):
        typer.echo(note)
    typer.echo(f"take {found.chosen}: chosen by {found.chosen_by}")


def _interval(figure: Figure, scale: float, digits: int) -> str:
    from synth.evaluation.figures import NotMeasured

    if isinstance(figure, NotMeasured):
        return "not measured"
    value, low, high = (f"{scale * one:.{digits}f}" for one in (figure.value, figure.low, figure.high))
    return f"{value} ({low} to {high})"


def _write(found: Comparison, out: Path) -> None:
    from synth.data.writers.files import storage_errors, write_atomically

    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / _FILE, found.model_dump_json(indent=2) + "\n")
