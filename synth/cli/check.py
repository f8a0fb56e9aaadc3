"""``synth check``: what may be wrong with a source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synth.cli.output import AsJson, parse_size, require_free
from synth.errors import ConfigError, NotFoundError, UsageError

if TYPE_CHECKING:
    from synth.artifacts import Artifact, Store
    from synth.data import Source
    from synth.evaluation.integrity import SourceReport

_MOST_GENERATED = 2_000


def check(
    source: Annotated[str, typer.Argument(help="Folder, .npz file, built-in name or part of a split.")],
    split: Annotated[
        Path | None,
        typer.Option("--split", help="The split.json of this source: do its parts share anything?"),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="SOURCE", help="Another source that must share nothing with it."),
    ] = None,
    synthetic: Annotated[
        str | None,
        typer.Option(
            "--synthetic",
            metavar="SOURCE",
            help="Synthetic or augmented images, or a model to make them: what do they change?",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="A generator: what does it change, and was it trained on held-out parts of --split, or on "
            "images of --against?",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", help="Compare in the features of this encoder; without it in thumbnails."),
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            "--classifier",
            metavar="MODEL",
            help="Judge labels by this classifier of the store, instead of one that is trained for it.",
        ),
    ] = None,
    groups: Annotated[
        str | None, typer.Option("--groups", help="As in synth split; by default those of --split.")
    ] = None,
    near_duplicates: Annotated[
        float,
        typer.Option("--near-duplicates", help="How unlike near-duplicates may be; 0: do not look for them."),
    ] = 0.16,
    similarity: Annotated[
        float, typer.Option("--similarity", help="With --encoder: least cosine of near-duplicates.")
    ] = 0.98,
    size: Annotated[
        str | None,
        typer.Option(
            "--size", help="Pixels, or HEIGHTxWIDTH, for encoder and classifier. Default: the images' own."
        ),
    ] = None,
    labels: Annotated[
        bool, typer.Option("--labels/--no-labels", help="Look for wrong labels, which takes longest.")
    ] = True,
    seed: Annotated[int, typer.Option("--seed", help="Of folds and classifiers.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    store: Annotated[
        Path | None, typer.Option("--store", help="Folder of models, instead of SYNTH_HOME/store.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write check.json there as well, into a new or empty folder.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a check.json in --out.")] = False,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on",
            help="Exit with 1 on findings about these, separated by commas: unreadable, duplicates, "
            "near-duplicates, leaks, outliers, labels, imbalance, shortcuts, changes, or any.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look for unreadable files, duplicates, leaks, outliers, wrong labels, imbalance and shortcuts.

    Nothing is changed. Each finding says which files, and what to do. The exit code is 0 whatever is found,
    and 1 on findings that --fail-on names.
    """
    from synth.artifacts import Store
    from synth.data import open_source
    from synth.data.splits import read_groups, read_split
    from synth.evaluation.classifiers import open_classifier
    from synth.evaluation.integrity import CheckOptions, check_source, check_subjects
    from synth.evaluation.integrity.features import open_encoder
    from synth.evaluation.leaks import check_no_leak
    from synth.randomness import check_seed
    from synth.sampling import resolve_device

    failing = [name.strip() for text in fail_on or [] for name in text.split(",") if name.strip()]
    check_subjects(failing)
    if split is not None and against is not None:
        raise UsageError("Use either --split, of this source, or --against, another source; not both.")
    if synthetic is not None and model is not None:
        raise UsageError("Use either --synthetic, for images, or --model, for a generator; not both.")
    if classifier is not None and not labels:
        raise UsageError("--classifier judges labels, and --no-labels leaves them out: use one of them.")
    if not 0.0 <= near_duplicates <= 0.5 or not 0.5 <= similarity <= 1.0:
        raise ConfigError("--near-duplicates is from 0 to 0.5, and --similarity from 0.5 to 1.")
    resolve_device(device)
    options = CheckOptions(
        near_duplicates=near_duplicates,
        similarity=similarity,
        size=parse_size(size),
        labels=labels,
        seed=check_seed(seed),
        device=device,
    )
    require_free(out, "check.json", overwrite)
    models = Store(store) if store else Store()
    opened = open_source(source, skip_unreadable=True)
    other = None if against is None else open_source(against, skip_unreadable=True)
    divided = None if split is None else read_split(split)
    artifact = None if model is None else models.open(model)
    judge = None if classifier is None else open_classifier(classifier, store=models, device=device)
    if artifact is not None and other is not None:
        check_no_leak(artifact, other.ids, str(against))
    origins = [origin for origin, _ in opened.each(lambda pixels: None)] if groups is not None else []
    report = check_source(
        opened,
        split=divided,
        against=other,
        synthetic=_synthetic(synthetic, artifact, models, len(opened), options.seed, device),
        model=artifact,
        extractor=None if encoder is None else open_encoder(encoder),
        classifier=judge,
        groups=None if groups is None else read_groups(groups, origins),
        options=options,
    )
    if out is not None:
        _write(report, out)
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        from synth.cli.check_text import print_report

        print_report(report)
    found = report.failing(failing)
    if found:
        subjects = ", ".join(dict.fromkeys(one.subject for one in found))
        typer.echo(f"failed on: {subjects}", err=True)
        raise typer.Exit(1)


def _synthetic(
    spec: str | None, model: Artifact | None, store: Store, count: int, seed: int, device: str
) -> Source | None:
    """The images to compare with: a source, or what a model makes."""
    from synth.data import open_source
    from synth.evaluation.integrity.generated import generated_source

    if spec is not None:
        try:
            return open_source(spec, skip_unreadable=True)
        except NotFoundError as no_source:
            try:
                model = store.open(spec)
            except NotFoundError as no_model:
                raise NotFoundError(f"{no_source} Nor is it a model: {no_model}") from None
    if model is None:
        return None
    return generated_source(model, min(max(count, 100), _MOST_GENERATED), seed=seed, device=device)


def _write(report: SourceReport, out: Path) -> None:
    from synth.data.writers.files import storage_errors, write_atomically

    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / "check.json", report.model_dump_json(indent=2) + "\n")
