"""``synth generate``: a data set from a trained model."""

from __future__ import annotations

from typing import Annotated

import typer

from synth.cli.datasets import (
    Device,
    FormatName,
    ImageFormatName,
    Model,
    ModeName,
    Out,
    Overwrite,
    PrecisionName,
    Quality,
    Resume,
    Seed,
    Settings,
    ShardSize,
    Start,
    StoreFolder,
    check_choice,
    parse_parameters,
    progress_of,
)
from synth.cli.output import AsJson


def generate(
    model: Model,
    count: Annotated[int, typer.Option("--count", help="Number of images.")],
    out: Out,
    format_name: FormatName = "imagefolder",
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            help="balanced (default where the model has classes), any (as in the training data), a class, or "
            '"cat=10,dog=30".',
        ),
    ] = None,
    image_format: ImageFormatName = "png",
    quality: Quality = 95,
    seed: Seed = 0,
    start: Start = 0,
    shard_size: ShardSize = 1_000,
    mode: ModeName = "fast",
    set_: Settings = None,
    device: Device = "auto",
    precision: PrecisionName = "auto",
    store: StoreFolder = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Generate a labelled data set on disk.

    Every image can be made again from the model's version, the seed and its index alone.
    """
    check_choice(resume, overwrite)
    parameters = parse_parameters(set_ or [])

    from synth.artifacts import Store
    from synth.data.encode import Encoding
    from synth.data.writers.formats import get_format
    from synth.offline import generate_dataset, make_plan
    from synth.sampling import Sampler
    from synth.sampling.requests import read_parameters

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
        parameters=read_parameters(sampler.parameters, parameters),
        format=format_name,
        shard_size=shard_size,
        encoding=encoding,
    )
    with progress_of(out, "generate") as report:
        manifest = generate_dataset(sampler, plan, out, resume=resume, overwrite=overwrite, progress=report)
    typer.echo(manifest.model_dump_json(indent=2) if as_json else str(out))
