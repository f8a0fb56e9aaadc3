"""``synth split``: divide a source into parts or folds that cannot leak into each other."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synth.cli.output import AsJson, parse_size, print_table
from synth.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from synth.data import Source
    from synth.data.splits import SplitManifest
    from synth.evaluation.extractor import Extractor


def split(
    source: Annotated[str, typer.Argument(help="Folder, .npz file or built-in name; never changed.")],
    out: Annotated[Path, typer.Option("--out", help="The split's folder; new or empty.")],
    fractions: Annotated[
        str | None,
        typer.Option(
            "--fractions",
            help="The parts and their shares, that to train on first. Default: "
            "train=0.8,val=0.1,holdout=0.1; with --folds: everything in folds.",
        ),
    ] = None,
    folds: Annotated[
        int | None, typer.Option("--folds", help="Divide the first part into so many folds.")
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            "--groups",
            help="What stays together: parent (the file's folder), prefix:TEXT (its name up to TEXT), "
            "regex:PATTERN, or a .csv, .json, .jsonl or .txt file.",
        ),
    ] = None,
    near_duplicates: Annotated[
        float,
        typer.Option(
            "--near-duplicates", help="How unlike pictures that are kept together may be; 0: do not look."
        ),
    ] = 0.16,
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", help="Look for near-duplicates in the features of this encoder, too."),
    ] = None,
    similarity: Annotated[
        float, typer.Option("--similarity", help="With --encoder: least cosine of near-duplicates.")
    ] = 0.98,
    size: Annotated[
        str | None,
        typer.Option(
            "--size", help="With --encoder: pixels, or HEIGHTxWIDTH. Default: the images' own size."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another seed makes an independent split.")] = 0,
    format_name: Annotated[
        str,
        typer.Option(
            "--format",
            help="links (to the source's files), imagefolder or npz (copies), manifest (neither), or auto: "
            "links where the source has files, otherwise manifest.",
        ),
    ] = "auto",
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out files that cannot be decoded.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Bring the split there up to date with a source that has grown.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the split there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Divide a source into parts, or folds, that share no image, no group and no near-duplicates.

    Where a sample goes follows from its content: it is the same on every machine, and samples that are added
    later never move one from the first part into another. Open a part anywhere as DIR/PART or
    DIR/split.json:PART; with folds, not-fold-K is what fold-K is tested against.
    """
    from synth.data import open_source
    from synth.data.locations import absolute_spec
    from synth.data.splits import SplitRule, make_split, parse_fractions, read_groups, write_split
    from synth.data.splits.open import level_of
    from synth.data.splits.write import check_format, check_output
    from synth.randomness import check_seed

    _check_ranges(near_duplicates, similarity, folds)
    pixels = parse_size(size)
    parts = parse_fractions(fractions, folds)
    opened = open_source(source, skip_unreadable=skip_unreadable)
    extractor = None if encoder is None else _open_encoder(encoder)
    rule = SplitRule(
        fractions=parts,
        folds=folds,
        seed=check_seed(seed),
        level=level_of(source),
        groups=groups,
        near_duplicates=near_duplicates or None,
        encoder=None if extractor is None else extractor.digest,
        similarity=None if extractor is None else similarity,
    )
    # Before the images are read, since that may take long.
    check_output(out, rule, resume=resume, overwrite=overwrite)
    check_format(format_name, opened)
    made = make_split(
        opened,
        rule,
        group=None if groups is None else partial(read_groups, groups),
        links=None if extractor is None else _links(opened, extractor, pixels, similarity),
    )
    manifest = write_split(
        made,
        opened,
        out,
        location=absolute_spec(source),
        format=format_name,
        resume=resume,
        overwrite=overwrite,
    )
    for note in manifest.notes:
        typer.echo(note, err=True)
    if as_json:
        typer.echo(manifest.model_dump_json(indent=2))
    else:
        _print(manifest, out)


def _check_ranges(near_duplicates: float, similarity: float, folds: int | None) -> None:
    if not 0.0 <= near_duplicates <= 0.5:
        raise ConfigError(f"--near-duplicates is from 0 to 0.5, not {near_duplicates:g}.")
    if not 0.5 <= similarity <= 1.0:
        raise ConfigError(f"--similarity is from 0.5 to 1, not {similarity:g}.")
    if folds is not None and not 2 <= folds <= 100:
        raise ConfigError(f"Cross-validation takes 2 to 100 folds, not {folds}.")


def _open_encoder(spec: str) -> Extractor:
    from synth.evaluation.integrity.features import open_encoder

    return open_encoder(spec)


def _links(
    source: Source, extractor: Extractor, size: tuple[int, int] | None, similarity: float
) -> np.ndarray:
    from synth.evaluation.integrity.features import feature_links, features_of

    return feature_links(features_of(source, extractor, size), similarity)


def _print(manifest: SplitManifest, out: Path) -> None:
    classes = manifest.source.classes or []
    rows = [
        [
            summary.name,
            f"{summary.count:,}",
            f"{summary.count / manifest.source.count:.1%}",
            *(f"{(summary.class_counts or {})[name]:,}" for name in classes),
        ]
        for summary in [*manifest.parts, *manifest.folds]
    ]
    print_table(["part", "samples", "share", *classes], rows)
    name = manifest.names[0]
    typer.echo(f"Open a part as {out / name} or {out / 'split.json'}:{name}", err=True)
