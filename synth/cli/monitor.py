"""``synth monitor``: how far images are from those that a model was trained on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synth.cli.output import AsJson, print_json, print_table
from synth.errors import ConfigError, SynthError, UsageError
from synth.text import closest

if TYPE_CHECKING:
    from synth.evaluation.reference import Comparison

_WHAT = ("made", "sent")


def monitor(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="NAME, NAME@VERSION, or the folder of a model.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="SOURCE", help="Images to compare: real or generated.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="URL", help="Ask a running server instead, about MODEL or all."),
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", envvar="SYNTH_API_KEY", help="For a server that asks for keys.")
    ] = None,
    fail_over: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-over",
            metavar="STATISTIC=VALUE",
            help="Exit with 1 where the drift of it, or of any=, is higher; repeatable.",
        ),
    ] = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out files that cannot be decoded.")
    ] = False,
    store: Annotated[
        Path | None, typer.Option("--store", help="Folder of models, instead of SYNTH_HOME/store.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell how far images are from those that a model was trained on.

    The drift of each statistic is its population stability index: below 0.1 nothing has changed, above 0.25
    much.
    """
    limits = _limits(fail_over or [])
    if (data is None) == (server is None):
        raise UsageError("Say what to compare: either --data SOURCE with a MODEL, or --server URL.")
    if data is not None:
        if model is None:
            raise UsageError(
                "Say which model the images are to be compared with: synth monitor MODEL --data ..."
            )
        drift = _show_source(model, data, skip_unreadable, store, as_json)
    else:
        assert server is not None
        drift = _show_server(server, key, model, as_json)
    _check(drift, limits)


def _limits(texts: list[str]) -> dict[str, float]:
    limits: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not name or not 0.0 <= value < math.inf:
            raise ConfigError(
                f"Cannot read --fail-over {text!r}; write STATISTIC=NUMBER, as in brightness=0.25."
            )
        limits[name] = value
    return limits


def _show_source(
    model: str, data: str, skip_unreadable: bool, store: Path | None, as_json: bool
) -> list[tuple[str, dict[str, float | None]]]:
    from synth.artifacts import Store
    from synth.data import open_source
    from synth.evaluation.figures import Estimate
    from synth.evaluation.monitor import compare_source

    artifact = (Store() if store is None else Store(store)).open(model)
    source = open_source(data, skip_unreadable=skip_unreadable)
    found = compare_source(artifact, source)
    if as_json:
        about = {"model": artifact.manifest.reference, "digest": artifact.manifest.digest}
        print_json({**about, "source": source.info.spec, **found.model_dump(mode="json")})
    else:
        print_table(("STATISTIC", "DRIFT", "INTERVAL", "BY CHANCE", "MEAN", "IN TRAINING"), _rows(found))
        for name, figure in found.drift.items():
            if figure.kind == "not-measured":
                typer.echo(f"{name}: {figure.reason}")
        for note in source.info.notes:
            typer.echo(note, err=True)
    return [
        (
            "",
            {
                name: figure.value if isinstance(figure, Estimate) else None
                for name, figure in found.drift.items()
            },
        )
    ]


def _rows(found: Comparison) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, figure in found.drift.items():
        theirs, ours = (f"{mean:.3f}" for mean in found.means[name]) if name in found.means else ("", "")
        drift, interval, floor = "not measured", "", ""
        if figure.kind == "estimate":
            drift, interval = f"{figure.value:.3f}", f"{figure.low:.3f} to {figure.high:.3f}"
            floor = "" if figure.floor is None else f"{figure.floor:.3f}"
        rows.append((name, drift, interval, floor, ours, theirs))
    return rows


def _show_server(
    server: str, key: str | None, model: str | None, as_json: bool
) -> list[tuple[str, dict[str, float | None]]]:
    from synth.cli.scraping import read_drift

    found = read_drift(server, key)
    if model is not None:
        found = [one for one in found if model in (one.model, one.model.partition("@")[0])]
    if as_json:
        print_json([one.as_dict() for one in found])
    elif found:
        rows = [
            (one.model, what, f"{one.images.get(what, 0):,}", statistic, f"{value:.3f}")
            for one in found
            for what in _WHAT
            for statistic, value in one.drift.get(what, {}).items()
        ]
        print_table(("MODEL", "WHAT", "IMAGES", "STATISTIC", "DRIFT"), rows)
        few = [one.model for one in found if not any(one.drift.values())]
        if few:
            typer.echo(f"Too few images have been seen of {', '.join(few)}.", err=True)
    else:
        typer.echo(f"{server} has not compared any images{f' of {model}' if model else ''} yet.", err=True)
    return [
        (f"{one.model} {what} ", dict(one.drift.get(what, {}))) for one in found for what in one.images
    ] or [("", {})]


def _check(drift: list[tuple[str, dict[str, Any]]], limits: dict[str, float]) -> None:
    from synth.evaluation.monitor import over_limits
    from synth.evaluation.reference import CLASSES
    from synth.evaluation.statistics import COLOURS

    colours = [f"{colour}_{measure}" for colour in COLOURS for measure in ("mean", "std")]
    known = ["any", "brightness", "contrast", "sharpness", CLASSES, *colours]
    for name in limits:
        if name not in known:
            raise ConfigError(
                f"There is no statistic {name!r}{closest(name, known)}. Known: {', '.join(known)}."
            )
    faults = [place + fault for place, values in drift for fault in over_limits(values, limits)]
    if faults:
        raise SynthError("The images have drifted. " + " ".join(faults))
