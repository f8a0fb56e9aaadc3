"""``synth evaluate``: what a synthetic set is worth."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synth.cli.output import AsJson, print_table
from synth.errors import ConfigError

if TYPE_CHECKING:
    from synth.evaluation.report import Report

_SECONDS_BETWEEN_LINES = 5.0


def evaluate(
    real: Annotated[
        str,
        typer.Option(
            "--real", metavar="SOURCE", help="Real images: those that the generator was trained on."
        ),
    ],
    synthetic: Annotated[
        str,
        typer.Option(
            "--synthetic", metavar="SOURCE|MODEL", help="Synthetic images, or the model that is to make them."
        ),
    ],
    holdout: Annotated[
        str | None,
        typer.Option(
            "--holdout",
            metavar="SOURCE",
            help="Real images that the generator has never seen. Default: those real ones that a known "
            "generator was not trained on.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="For report.html and report.json; new or empty."),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            metavar="SPEC",
            help="The extractor of features. Default: an encoder in the store that was trained on these real "
            "images, or one that is trained now, in a minute.",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            "--count", help="Synthetic images. Default: all; of a model as many as real ones, up to 10,000."
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", help="Trainings of each classifier (default 3).")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides everything that is drawn.")] = 0,
    size: Annotated[
        str | None, typer.Option("--size", help="Pixels, or HEIGHTxWIDTH, to which all images are brought.")
    ] = None,
    channels: Annotated[int | None, typer.Option("--channels", help="1 (grey) or 3 (RGB), for all.")] = None,
    flip: Annotated[
        bool,
        typer.Option(
            "--flip/--no-flip",
            help="Whether classical augmentation may mirror; not where left and right mean something.",
        ),
    ] = True,
    groups: Annotated[
        str | None,
        typer.Option(
            "--groups",
            help="Who or what must not lose out: as in synth split, of the real images and the holdout.",
        ),
    ] = None,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-under", metavar="FIGURE=VALUE", help="Exit code 1 if a figure is lower; may be repeated."
        ),
    ] = None,
    fail_over: Annotated[
        list[str] | None,
        typer.Option("--fail-over", metavar="FIGURE=VALUE", help="Exit code 1 if a figure is higher."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One seed, short trainings: a first look, with wide intervals.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the report in --out.")] = False,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out files that cannot be decoded.")
    ] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    store: Annotated[
        Path | None, typer.Option("--store", help="Folder of models, instead of SYNTH_HOME/store.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure what synthetic images are worth: fidelity, diversity, utility, novelty, bias and labels.

    The verdict and the figures go to stdout, the whole report with pictures to --out.
    """
    from synth.artifacts import Store
    from synth.evaluation.report import evaluate, load_sets, quick_settings, save_report
    from synth.evaluation.report.names import missed, parse_limits
    from synth.evaluation.report.saving import check_out, to_json
    from synth.jobs.yardstick import choose_extractor

    limits = parse_limits(fail_under or [], fail_over or [])
    if out is not None:
        check_out(out, overwrite=overwrite)
    models = Store(store)
    tell = _Progress()
    sources = [real] if holdout is None else [real, holdout]
    group_of = None if groups is None else _groups(groups, sources)
    loaded = load_sets(
        real,
        synthetic,
        holdout,
        count=count,
        size=None if size is None else _parse_size(size),
        channels=channels,
        seed=seed,
        store=models,
        device=device,
        skip_unreadable=skip_unreadable,
        progress=tell,
    )
    extractor = choose_extractor(
        encoder, loaded.real, store=models, device=device, quick=quick, say=tell.note
    )
    report = evaluate(
        loaded.real,
        loaded.synthetic,
        extractor=extractor,
        holdout=loaded.holdout,
        generator=loaded.generator,
        groups=group_of,
        seed=seed,
        seeds=seeds if seeds is not None else 1 if quick else 3,
        flip=flip,
        device=device,
        progress=tell,
        **quick_settings(loaded.real.images.shape[1:]) if quick else {},
    )
    if out is not None:
        _, page = save_report(report, out, overwrite=overwrite)
        tell.note(f"Report: {page}")
    if as_json:
        typer.echo(to_json(report), nl=False)
    else:
        _print(report)
    failures = missed(report, limits)
    for failure in failures:
        typer.echo(f"failed: {failure}", err=True)
    if failures:
        raise typer.Exit(1)


def _groups(rule: str, specs: list[str]) -> dict[str, str]:
    """Content hash -> group, of the samples of all sources in order."""
    from synth.data import open_source
    from synth.data.splits import read_groups

    origins: list[str] = []
    ids: list[str] = []
    for source in map(open_source, specs):
        origins += [origin for origin, _ in source.each(lambda pixels: None)]
        ids += source.ids
    named = zip(ids, read_groups(rule, origins), strict=True)
    return {sample: group for sample, group in named if group is not None}


def _parse_size(text: str) -> tuple[int, int]:
    height, _, width = text.lower().partition("x")
    try:
        size = int(height), int(width or height)
    except ValueError:
        size = 0, 0
    if min(size) < 1:
        raise ConfigError(f"Cannot read --size {text!r}; write pixels, as in 32, or HEIGHTxWIDTH.")
    return size


def _print(report: Report) -> None:
    """The verdict, its reasons, and all main figures."""
    from synth.evaluation.report.html import show
    from synth.evaluation.report.names import MEANINGS, figures

    typer.echo(report.verdict.headline)
    for reason in report.verdict.reasons:
        typer.echo(f"  {({'good': '+', 'bad': '!', 'neutral': '-'})[reason.tone]} {reason.text}")
    typer.echo()
    rows = []
    for name, figure in figures(report).items():
        unit = MEANINGS[name].unit
        if figure.kind == "not-measured":
            rows.append((name, "not measured", "", f"it {figure.reason}"))
            continue
        exact = figure.low == figure.high
        interval = "" if exact else f"{show(figure.low, unit, True)} to {show(figure.high, unit, True)}"
        floor = "" if figure.floor is None else show(figure.floor, unit)
        rows.append((name, show(figure.value, unit), interval, floor))
    print_table(("FIGURE", "VALUE", "95 % INTERVAL", "REAL AGAINST REAL"), rows)


class _Progress:
    """Lines on standard error: each new step, and now and then how far it is."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._last = 0.0
        self._what = ""

    def __call__(self, share: float, what: str) -> None:
        now = time.monotonic()
        if what != self._what or now - self._last >= _SECONDS_BETWEEN_LINES:
            self._what, self._last = what, now
            typer.echo(f"{now - self._began:5.0f} s  {share:4.0%}  {what}", err=True)

    def note(self, text: str) -> None:
        typer.echo(f"{time.monotonic() - self._began:5.0f} s        {text}", err=True)
