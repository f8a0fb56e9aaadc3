"""``synth augment``: a data set of changed copies of the images of a source."""

from __future__ import annotations

from typing import Annotated

import typer

from synth.cli.datasets import (
    ImageFormatName,
    Out,
    Overwrite,
    OwnFormatName,
    Quality,
    Resume,
    Seed,
    ShardSize,
    check_choice,
    progress_of,
)
from synth.cli.output import AsJson


def augment(
    pipeline: Annotated[
        str, typer.Argument(metavar="PIPELINE", help="YAML or JSON file, or a preset such as basic.")
    ],
    data: Annotated[
        str,
        typer.Option("--data", metavar="SOURCE", help="Folder, .npz file or built-in name of the images."),
    ],
    out: Out,
    copies: Annotated[int, typer.Option("--copies", help="Of each image; copy k has the epoch k.")] = 1,
    format_name: OwnFormatName = None,
    image_format: ImageFormatName = "png",
    quality: Quality = 95,
    seed: Seed = 0,
    shard_size: ShardSize = 250,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out files that cannot be decoded.")
    ] = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Augment the images of a source into a data set on disk, with their labels.

    The same pipeline, seed and images give the same copies in a training loop.
    """
    check_choice(resume, overwrite)

    from synth.augment import Pipeline
    from synth.data import open_source
    from synth.data.encode import Encoding
    from synth.data.writers.formats import get_format
    from synth.offline import augment_dataset, make_augmentation_plan
    from synth.offline.objects import default_format, lost

    encoding = Encoding(image_format, quality)  # type: ignore[arg-type]  # it checks
    if format_name is not None:
        get_format(format_name, encoding, annotated=None)
    read = Pipeline.read(pipeline, seed=seed)
    source = open_source(data, skip_unreadable=skip_unreadable)
    chosen = format_name or default_format(source)
    plan = make_augmentation_plan(
        read, source, copies=copies, format=chosen, shard_size=shard_size, encoding=encoding
    )
    with progress_of(out, "augment") as report:
        manifest = augment_dataset(source, plan, out, resume=resume, overwrite=overwrite, progress=report)
    for note in (*source.info.notes, *lost(source, chosen)):
        typer.echo(note, err=True)
    typer.echo(manifest.model_dump_json(indent=2) if as_json else str(out))
