"""``synth robustness``: how a classifier stands up to adversarial images."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synth.cli.output import AsJson, print_table
from synth.errors import ConfigError
from synth.text import closest

if TYPE_CHECKING:
    from synth.evaluation.robustness import Robustness


def robustness(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A classifier of the store.")],
    data: Annotated[
        str,
        typer.Option(
            "--data", metavar="SOURCE", help="Labelled images that the classifier was not trained on."
        ),
    ],
    eps: Annotated[
        str,
        typer.Option(
            "--eps", help="Radii of attacks, in pixels of 0 to 1, separated by commas: 0.1, or 8/255."
        ),
    ] = "0.01,0.03,0.1,0.3",
    norm: Annotated[str, typer.Option("--norm", help="Of the radii: linf or l2.")] = "linf",
    steps: Annotated[int, typer.Option("--steps", help="Of PGD.")] = 40,
    restarts: Annotated[int, typer.Option("--restarts", help="Random starts of PGD.")] = 1,
    queries: Annotated[int, typer.Option("--queries", help="Of RayS for each image.")] = 500,
    count: Annotated[
        int, typer.Option("--count", help="Images, drawn from the source by --seed; 0: all.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Of the choice of images and the random starts.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="For robustness.md and robustness.json; new or empty."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the report in --out.")] = False,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-under",
            metavar="FIGURE=VALUE",
            help="Exit code 1 if a figure is lower: clean, fgsm@EPS, pgd@EPS, rays@EPS, worst@EPS, checks: "
            "the share of those that are passed. May be repeated.",
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    store: Annotated[
        Path | None, typer.Option("--store", help="Folder of models, instead of SYNTH_HOME/store.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Attack a classifier by FGSM, PGD and RayS: accuracies by radius and class, and whether to believe them.

    Checks look for masked gradients, behind which a network only seems to be robust.
    """
    from synth.artifacts import Store
    from synth.data import open_source
    from synth.evaluation.classifiers import open_classifier
    from synth.evaluation.leaks import check_no_leak
    from synth.evaluation.robustness import Adversary, measure_robustness, save_robustness
    from synth.evaluation.robustness.saving import check_free
    from synth.randomness import permutation, stream_id

    adversary = Adversary(
        eps=_radii(eps),
        norm=norm,  # type: ignore[arg-type]  # it checks
        steps=steps,
        restarts=restarts,
        queries=queries,
        seed=seed,
    )
    if count < 0:
        raise ConfigError("--count is a number of images, or 0 for all.")
    limits = _limits(fail_under or [], adversary.eps)
    if out is not None:
        check_free(out, overwrite=overwrite)
    classifier = open_classifier(model, store=Store(store) if store else Store(), device=device)
    source = open_source(data)
    images = classifier.load(source)
    check_no_leak(classifier.artifact, images.ids, data)
    if 0 < count < len(images):
        order = permutation(seed, 0, stream_id("robustness/images"), len(images))
        images = images.subset(sorted(order[:count].tolist()))
    report = measure_robustness(classifier, images, adversary, progress=_Lines())
    if out is not None:
        typer.echo(f"Report: {save_robustness(report, out, overwrite=overwrite)}", err=True)
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        _print(report)
    found = report.figures()
    failures = [
        f"{name} is {found[name]:.4g}, and must be at least {least:g}"
        for name, least in limits.items()
        if found[name] < least
    ]
    for failure in failures:
        typer.echo(f"failed: {failure}", err=True)
    if failures:
        raise typer.Exit(1)


def _radii(text: str) -> tuple[float, ...]:
    from synth.evaluation.robustness.radius import radius_of

    try:
        return tuple(sorted({radius_of(one) for one in text.split(",")}))
    except ConfigError as error:
        raise ConfigError(f"--eps: {error}") from None


def _limits(texts: list[str], radii: tuple[float, ...]) -> dict[str, float]:
    from synth.evaluation.robustness.radius import radius_of, radius_text

    known = ["clean", "checks"]
    known += [f"{attack}@{radius_text(eps)}" for eps in radii for attack in ("fgsm", "pgd", "rays", "worst")]
    limits = {}
    for text in texts:
        name, equals, number = (part.strip() for part in text.partition("="))
        attack, at, radius = name.partition("@")
        if at:
            with suppress(ConfigError):  # then it is told below which there are
                name = f"{attack}@{radius_text(radius_of(radius))}"
        if name not in known:
            raise ConfigError(
                f"--fail-under: there is no figure {name!r}{closest(name, known)}. "
                f"Figures: {', '.join(known)}."
            )
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not equals or not 0 <= value <= 1:
            raise ConfigError(f"Cannot read --fail-under {text!r}; write {name}=0.88, a share of 0 to 1.")
        limits[name] = value
    return limits


def _print(report: Robustness) -> None:
    rows = [("clean", f"{report.clean.value:.3f}", f"{report.clean.low:.3f} to {report.clean.high:.3f}")]
    for one in report.attacks:
        figure = one.accuracy
        rows.append(
            (f"{one.attack}@{one.radius}", f"{figure.value:.3f}", f"{figure.low:.3f} to {figure.high:.3f}")
        )
    print_table(("ATTACK", "ACCURACY", "95 % INTERVAL"), rows)
    typer.echo()
    for check in report.checks:
        typer.echo(f"{'+' if check.passed else '!'} {check.name}: {check.about}")


class _Lines:
    """A line on standard error for each attack."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, share: float, what: str) -> None:
        typer.echo(f"{time.monotonic() - self._began:5.0f} s  {share:4.0%}  {what}", err=True)
