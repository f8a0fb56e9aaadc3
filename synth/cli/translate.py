"""``synth translate``: a data set of images made from those of a source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synth.cli.datasets import (
    Device,
    ImageFormatName,
    Model,
    ModeName,
    Out,
    Overwrite,
    OwnFormatName,
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
from synth.errors import UsageError


def translate(
    model: Model,
    data: Annotated[
        str,
        typer.Option("--data", metavar="SOURCE", help="Folder, .npz file or built-in name of the images."),
    ],
    out: Out,
    strength: Annotated[
        float | None,
        typer.Option("--strength", help="How far images may leave their originals: --set strength=X."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            help="What the images show, if not what their source says (default): a class, any, balanced, or "
            '"cat=10,dog=30".',
        ),
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(
            "--fit",
            help="resize: images of another size than the model's are resized, and cropped at the centre. "
            "Default: they keep their size where the model takes any, and are refused elsewhere.",
        ),
    ] = None,
    style: Annotated[
        list[Path] | None,
        typer.Option(
            "--style",
            metavar="FILE",
            help="A picture whose style to take, where the model can; may be repeated.",
        ),
    ] = None,
    allow_label_drift: Annotated[
        bool,
        typer.Option(
            "--allow-label-drift",
            help="Keep labels although the model was not found to preserve what images show.",
        ),
    ] = False,
    format_name: OwnFormatName = None,
    image_format: ImageFormatName = "png",
    quality: Quality = 95,
    seed: Seed = 0,
    start: Start = 0,
    shard_size: ShardSize = 1_000,
    mode: ModeName = "fast",
    set_: Settings = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out files that cannot be decoded.")
    ] = False,
    device: Device = "auto",
    precision: PrecisionName = "auto",
    store: StoreFolder = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Translate the images of a source into a labelled data set on disk.

    Every image can be made again from its original, the model's version, the seed and its index.
    """
    check_choice(resume, overwrite)
    parameters = parse_parameters(set_ or [])
    if strength is not None:
        if "strength" in parameters:
            raise UsageError("Use either --strength or --set strength=; not both.")
        parameters["strength"] = str(strength)

    from synth.artifacts import Store
    from synth.data import open_source
    from synth.data.encode import Encoding
    from synth.data.pictures import read_pictures
    from synth.data.writers.formats import get_format
    from synth.offline import make_translation_plan, translate_dataset
    from synth.offline.objects import default_format, lost
    from synth.sampling import Sampler
    from synth.sampling.requests import read_parameters

    pictures = {} if not style else {"style": read_pictures(style)}
    encoding = Encoding(image_format, quality)  # type: ignore[arg-type]  # it checks
    if format_name is not None:
        get_format(format_name, encoding, annotated=None)
    source = open_source(data, skip_unreadable=skip_unreadable)
    chosen = format_name or default_format(source)
    sampler = Sampler.open(
        model, store=None if store is None else Store(store), device=device, precision=precision
    )
    plan = make_translation_plan(
        sampler.card,
        source,
        labels=labels,
        fit=fit,  # type: ignore[arg-type]  # it checks
        any_size=sampler.any_size,
        allow_label_drift=allow_label_drift,
        seed=seed,
        start=start,
        mode=mode,
        parameters={**read_parameters(sampler.parameters, parameters), **pictures},
        format=chosen,
        shard_size=shard_size,
        encoding=encoding,
    )
    with progress_of(out, "translate") as report:
        manifest = translate_dataset(
            sampler, source, plan, out, resume=resume, overwrite=overwrite, progress=report
        )
    for note in (*source.info.notes, *lost(source, chosen)):
        typer.echo(note, err=True)
    typer.echo(manifest.model_dump_json(indent=2) if as_json else str(out))
