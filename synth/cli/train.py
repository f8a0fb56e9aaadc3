"""``synth train``: from real images to a published generator."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synth.cli.output import AsJson, print_json
from synth.errors import ConfigError
from synth.families import TRAINED

if TYPE_CHECKING:  # rich alone would take a third of the time that synth --help may take
    from rich.console import Console
    from rich.progress import Progress

    from synth.training.reporter import Reporter

_SECONDS_BETWEEN_LINES = 10.0


def train(
    family: Annotated[str, typer.Argument(metavar="FAMILY", help=f"One of: {', '.join(TRAINED)}.")],
    name: Annotated[str, typer.Option("--name", help="Name of the model in the store.")],
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="SOURCE", help="Folder, .npz file or built-in name of real images."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target", metavar="SOURCE", help="Of translators: the images that those of --data become like."
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", help="Pixels, or HEIGHTxWIDTH. Default: the images' own size.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", help="tiny (default), small, base or large.")
    ] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", help="Length by the clock.")] = None,
    images_seen: Annotated[
        int | None, typer.Option("--images-seen", help="Length in images, repeatable to the bit on a CPU.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="Images per step.")] = None,
    labels: Annotated[
        bool | None,
        typer.Option(
            "--labels/--no-labels",
            help="Require classes, or ignore them. Default: use them if there are any.",
        ),
    ] = None,
    warm_start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="MODEL", help="Start from the weights of this model, as far as they fit."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Decides weights, order and noise.")] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="auto (default), cpu, cuda or cuda:N.")
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option("--devices", help="How many GPUs (or CPU processes) share each batch. Default: 1."),
    ] = None,
    precision: Annotated[str | None, typer.Option("--precision", help="auto, 32, bf16 or 16.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="A recipe in YAML or JSON.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; repeatable.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the latest run of this name; its settings are known.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start a new run, whatever was interrupted before.")
    ] = False,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out files that cannot be decoded.")
    ] = False,
    store: Annotated[
        Path | None, typer.Option("--store", help="Folder of models, instead of SYNTH_HOME/store.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a generator on a folder of images and publish it.

    Ctrl-C saves, and the same command goes on, after a kill or a crash, too.
    """
    from synth.artifacts import Store, check_name
    from synth.families import get_family
    from synth.training import fit, resolve_recipe
    from synth.training.runs import latest_run

    check_name(name)
    get_family(family).load("recipe")
    if resume and fresh:
        raise ConfigError("--resume goes on with the latest run, and --fresh starts a new one: choose one.")
    record = latest_run(name).record() if resume else {}
    source = data or record.get("location")
    if source is None:
        raise ConfigError("Say what to train on: --data SOURCE (a folder, an .npz file or a built-in name).")
    recipe = resolve_recipe(
        family,
        config=config,
        overrides=overrides or [],
        flags={
            "size": size,
            "preset": preset,
            "minutes": minutes,
            "images_seen": images_seen,
            "batch_size": batch_size,
            "labels": labels,
            "warm_start": warm_start,
            "seed": seed,
            "precision": precision,
        },
        base=record.get("recipe") if record.get("family", family) == family else None,
    )
    folder = store or record.get("store")
    with reporting() as reporter:
        artifact = fit(
            family,
            source,
            recipe,
            name=name,
            target=target or record.get("target_location"),
            store=None if folder is None else Store(Path(folder)),
            resume=True if resume else False if fresh else None,
            device=device or record.get("device", "auto"),
            devices=devices or record.get("devices", 1),
            skip_unreadable=skip_unreadable or record.get("skip_unreadable", False),
            reporter=reporter,
        )
    if as_json:
        print_json(artifact.card.as_dict())
    else:
        typer.echo(artifact.manifest.reference)


@contextmanager
def reporting() -> Iterator[Reporter]:
    """A bar on a terminal, otherwise a line now and then; all on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    # What is printed may hold paths, and brackets in them are no markup.
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        TextColumn("Training"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bar(progress)


class _Bar:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("train", total=1.0, text="")

    def note(self, text: str) -> None:
        self._progress.console.print(text)

    def progress(self, share: float, images_seen: int, seconds: float, figures: Mapping[str, float]) -> None:
        self._progress.update(self._task, completed=share, text=_line(images_seen, figures))


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def note(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def progress(self, share: float, images_seen: int, seconds: float, figures: Mapping[str, float]) -> None:
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._console.print(
                f"{share:4.0%}  {seconds:.0f} s  {_line(images_seen, figures)}", soft_wrap=True
            )


def _line(images_seen: int, figures: Mapping[str, float]) -> str:
    shown = "  ".join(f"{name} {value:.3g}" for name, value in figures.items())
    return f"{images_seen:,} images  {shown}"
