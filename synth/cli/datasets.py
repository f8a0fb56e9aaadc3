"""What the verbs share that write a data set: options, parameters, progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from synth.errors import ConfigError, UsageError
from synth.text import plural

_SECONDS_BETWEEN_LINES = 5.0

Model = Annotated[str, typer.Argument(help="A model: NAME, NAME@VERSION, or the folder of one.")]
Out = Annotated[Path, typer.Option("--out", help="The data set's folder; new or empty.")]
FormatName = Annotated[str, typer.Option("--format", help="imagefolder, webdataset or npz.")]
OwnFormatName = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="imagefolder, webdataset or npz; coco, voc, yolo or masks where there are objects or "
        "masks. By default that of the source.",
    ),
]
ImageFormatName = Annotated[str, typer.Option("--image-format", help="png, jpeg or webp; not with npz.")]
Quality = Annotated[int, typer.Option("--quality", help="1 to 100, of jpeg and webp.")]
Seed = Annotated[int, typer.Option("--seed", help="With an image's index it decides the image.")]
Start = Annotated[int, typer.Option("--start", help="Index of the first image.")]
ShardSize = Annotated[
    int, typer.Option("--shard-size", help="Images per shard, the unit that --resume counts in.")
]
ModeName = Annotated[
    str, typer.Option("--mode", help="fast, or exact: byte-identical on one type of machine.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A sampling parameter, as in steps=4; may be repeated."),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
PrecisionName = Annotated[str, typer.Option("--precision", help="auto, 32, bf16 or 16.")]
StoreFolder = Annotated[
    Path | None, typer.Option("--store", help="Folder of models, instead of SYNTH_HOME/store.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted data set.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a data set of synth, once the new one is complete.")
]


def check_choice(resume: bool, overwrite: bool) -> None:
    """Raise UsageError where both are asked for."""
    if resume and overwrite:
        raise UsageError("Use either --resume, to go on, or --overwrite, to start again; not both.")


def parse_parameters(settings: Sequence[str]) -> dict[str, str]:
    """``name=value`` by name; what they mean, ``synth.sampling.requests.read_parameters`` finds out."""
    parameters: dict[str, str] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"Cannot read --set {setting!r}; write NAME=VALUE.")
        if not name or name in parameters:
            raise ConfigError(f"--set {setting!r} has no name, or names {name!r} a second time.")
        parameters[name] = text
    return parameters


@contextmanager
def progress_of(out: Path, verb: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, otherwise a line now and then; all on standard error.

    ``verb``: what is done to the images, as in ``generate``.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    stem = verb.removesuffix("e")
    doing, done_word = f"{stem}ing".capitalize(), f"{stem}ed"
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    bar = Progress(
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    task = bar.add_task("")
    began = last_line = time.monotonic()
    before: int | None = None

    def report(done: int, total: int) -> None:
        nonlocal before, last_line
        now = time.monotonic()
        bar.update(task, completed=done, total=total)
        if before is None:
            before = done
            if done == total:
                console.print(f"The images in {out} are complete already; nothing was {done_word}.")
            elif done:
                console.print(f"Resuming: {done:,} of {total:,} images are there already.")
        elif done == total:
            rate = (done - before) / (now - began)
            console.print(
                f"{done_word.capitalize()} {plural(done - before, 'image')} in {now - began:.1f} s "
                f"({rate:,.0f}/s)."
            )
        elif not console.is_terminal and now - last_line >= _SECONDS_BETWEEN_LINES:
            last_line = now
            console.print(f"{done:,} of {total:,} images")

    with bar:
        yield report
