"""``synth generate``: a data set from a trained model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from synth.cli.output import AsJson
from synth.errors import ConfigError, UsageError
from synth.text import plural

_SECONDS_BETWEEN_LINES = 5.0


def generate(
    model: Annotated[str, typer.Argument(help="A model: NAME, NAME@VERSION, or the folder of one.")],
    count: Annotated[int, typer.Option("--count", help="Number of images.")],
    out: Annotated[Path, typer.Option("--out", help="The data set's folder; new or empty.")],
    format_name: Annotated[
        str, typer.Option("--format", help="imagefolder, webdataset or npz.")
    ] = "imagefolder",
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            help="balanced (default where the model has classes), any (as in the training data), a class, or "
            '"cat=10,dog=30".',
        ),
    ] = None,
    image_format: Annotated[
        str, typer.Option("--image-format", help="png, jpeg or webp; not with npz.")
    ] = "png",
    quality: Annotated[int, typer.Option("--quality", help="1 to 100, of jpeg and webp.")] = 95,
    seed: Annotated[int, typer.Option("--seed", help="With an image's index it decides the image.")] = 0,
    start: Annotated[int, typer.Option("--start", help="Index of the first image.")] = 0,
    shard_size: Annotated[
        int, typer.Option("--shard-size", help="Images per shard, the unit that --resume counts in.")
    ] = 1_000,
    mode: Annotated[
        str, typer.Option("--mode", help="fast, or exact: byte-identical on one type of machine.")
    ] = "fast",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A sampling parameter; may be repeated."),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option("--precision", help="auto, 32, bf16 or 16.")] = "auto",
    store: Annotated[
        Path | None, typer.Option("--store", help="Folder of models, instead of SYNTH_HOME/store.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted data set.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a data set of synth, once the new one is complete.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Generate a labelled data set on disk.

    Every image can be made again from the model's version, the seed and its index alone.
    """
    if resume and overwrite:
        raise UsageError("Use either --resume, to go on, or --overwrite, to start again; not both.")
    parameters = _parse_parameters(set_ or [])

    from synth.artifacts import Store
    from synth.data.encode import Encoding
    from synth.data.writers.formats import get_format
    from synth.offline import generate_dataset, make_plan
    from synth.sampling import Sampler

    encoding = Encoding(image_format, quality)  # type: ignore[arg-type]  # it checks
    get_format(format_name, encoding)
    sampler = Sampler.open(
        model, store=None if store is None else Store(store), device=device, precision=precision
    )
    default = "any" if sampler.card.classes is None else "balanced"
    plan = make_plan(
        sampler.card,
        count,
        labels=default if labels is None else labels,
        seed=seed,
        start=start,
        mode=mode,
        parameters=parameters,
        format=format_name,
        shard_size=shard_size,
        encoding=encoding,
    )
    with _progress(out) as report:
        manifest = generate_dataset(sampler, plan, out, resume=resume, overwrite=overwrite, progress=report)
    typer.echo(manifest.model_dump_json(indent=2) if as_json else str(out))


def _parse_parameters(settings: list[str]) -> dict[str, float]:
    """``name=value`` texts as numbers by name."""
    parameters: dict[str, float] = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        try:
            value = float(text)
        except ValueError:
            raise ConfigError(f"Cannot read --set {setting!r}; write NAME=NUMBER.") from None
        if not name or name in parameters:
            raise ConfigError(f"--set {setting!r} has no name, or names {name!r} a second time.")
        parameters[name] = value
    return parameters


@contextmanager
def _progress(out: Path) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, otherwise a line now and then; all on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    bar = Progress(
        TextColumn("Generating"),
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
                console.print(f"The images in {out} are complete already; nothing was generated.")
            elif done:
                console.print(f"Resuming: {done:,} of {total:,} images are there already.")
        elif done == total:
            rate = (done - before) / (now - began)
            console.print(
                f"Generated {plural(done - before, 'image')} in {now - began:.1f} s ({rate:,.0f}/s)."
            )
        elif not console.is_terminal and now - last_line >= _SECONDS_BETWEEN_LINES:
            last_line = now
            console.print(f"{done:,} of {total:,} images")

    with bar:
        yield report
