"""``synth adapt``: train a classifier for an unlabelled domain in several ways, compare, and choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from synth import __version__
from synth.artifacts import Artifact, Metric, Store, check_name
from synth.errors import ConfigError
from synth.evaluation.classifiers import open_classifier
from synth.text import closest, plural
from synth.training.adapting.comparison import (
    Comparison,
    Outcome,
    accuracy_of,
    choose,
    gain_of,
    is_right,
    transfer_of,
)
from synth.training.adapting.domains import DomainPair, open_domains
from synth.training.adapting.translation import translated_source
from synth.training.fitting import fit
from synth.training.recipe import Recipe, resolve_recipe
from synth.training.reporter import Reporter, Silent
from synth.training.runs import has_run

METHODS = ("source", "coral", "dann", "translate", "translate-dann")
"""In the order in which they are trained."""
_ADAPTATIONS = {"coral": "coral", "dann": "dann", "translate-dann": "dann"}


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What is asked for, besides the two domains.

    Attributes:
        name: models are published as ``NAME-source``, ``NAME-dann`` and so on.
        methods: some of ``METHODS``; source-only is always trained, for all else is held against it.
        translator: a model that translates from source to target; None: ``cut`` is trained.
        settings: of the classifiers' recipe, by name; the same for all methods.
        overrides: ``key=value`` texts, as ``--set`` takes them.
        config: a recipe in a file.
        translator_minutes: how long ``cut`` is trained; None: as long as a classifier.
        allow_label_drift: translate with a model whose label preservation is low, or not known.
        resume: go on with the runs of these names that are there.
    """

    name: str
    methods: Sequence[str] = METHODS[:4]
    translator: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    overrides: Sequence[str] = ()
    config: Path | None = None
    translator_minutes: float | None = None
    allow_label_drift: bool = False
    resume: bool = False
    device: str = "auto"
    store: Store | None = None
    runs: Path | None = None


def adapt(
    source: str | Path,
    target: str | Path,
    wanted: Adaptation,
    *,
    test: str | Path | None = None,
    size: tuple[int, int] | None = None,
    skip_unreadable: bool = False,
    reporter: Reporter | None = None,
) -> Comparison:
    """Train a classifier for ``target`` in each of the ways, and compare them.

    All have the same network, augmentation, seed and length of training. Labels of the target are never
    learnt from, and nothing is chosen by them; those of ``test``, or else of the target's images that were
    kept back, only say how well it went.

    Raises: see ``open_domains``, ``synth.training.fit`` and ``translated_source``; ConfigError for methods
    that do not exist.
    """
    tell = reporter or Silent()
    check_name(wanted.name)
    methods = _methods(wanted)
    recipe = _recipe(wanted, {})
    pair = open_domains(
        source,
        target,
        test,
        size=size or recipe.size,
        channels=recipe.channels,
        skip_unreadable=skip_unreadable,
    )
    for note in pair.notes:
        tell.note(note)
    trained: dict[str, Artifact] = {}
    notes: dict[str, list[str]] = {method: [] for method in methods}
    translated: tuple[Path, list[str]] | None = None
    for method in methods:
        tell.note(f"{method}: training {wanted.name}-{method}")
        recipe = _recipe(wanted, {"adaptation": _ADAPTATIONS.get(method, "source")})
        recipe = recipe.model_copy(update={"size": pair.size, "channels": pair.channels})
        learnt_from: str | Path = pair.source_spec
        if method.startswith("translate"):
            translated = translated or translated_source(pair, wanted, recipe, tell)
            learnt_from, notes[method] = translated
        trained[method] = _train(method, learnt_from, pair, recipe, wanted, skip_unreadable, tell)
    return _compare(pair, wanted, trained, notes, recipe.seed)


def _methods(wanted: Adaptation) -> list[str]:
    for method in wanted.methods:
        if method not in METHODS:
            raise ConfigError(
                f"There is no method {method!r}{closest(method, METHODS)}. Methods: {', '.join(METHODS)}."
            )
    return [method for method in METHODS if method in wanted.methods or method == "source"]


def _recipe(wanted: Adaptation, own: Mapping[str, Any]) -> Recipe:
    return resolve_recipe(
        "classifier", config=wanted.config, overrides=wanted.overrides, flags={**wanted.settings, **own}
    )


def _train(
    method: str,
    learnt_from: str | Path,
    pair: DomainPair,
    recipe: Recipe,
    wanted: Adaptation,
    skip_unreadable: bool,
    tell: Reporter,
) -> Artifact:
    name = f"{wanted.name}-{method}"
    return fit(
        "classifier",
        learnt_from,
        recipe,
        name=name,
        target=pair.target_spec,
        store=wanted.store,
        runs=wanted.runs,
        resume=wanted.resume and has_run(name, wanted.runs),
        device=wanted.device,
        skip_unreadable=skip_unreadable,
        reporter=tell,
    )


def _compare(
    pair: DomainPair,
    wanted: Adaptation,
    trained: Mapping[str, Artifact],
    notes: Mapping[str, list[str]],
    seed: int,
) -> Comparison:
    baseline: Tensor | None = None
    held_against: tuple[float, float] = (0.0, 0.0)
    outcomes = []
    for method, artifact in trained.items():
        metrics = artifact.manifest.metrics
        validation = _value(metrics["accuracy"])
        opinions = open_classifier(artifact, device=wanted.device)
        right, told = None, _value(metrics["target_information"])
        if pair.test is not None and pair.test.labels is not None:
            probabilities = opinions.probabilities(pair.test.images)
            right = is_right(probabilities, pair.test.labels)
        if method == "source":
            baseline, held_against = right, (validation, told)
        accuracy = accuracy_of(right, "" if pair.test is None else pair.test.source)
        gain = accuracy if right is None or baseline is None else gain_of(right, baseline)
        outcomes.append(
            Outcome(
                method=method,
                model=artifact.manifest.reference,
                accuracy=accuracy,
                gain=gain,
                validation=validation,
                information=told,
                transfer="none" if method == "source" else transfer_of(gain, validation, told, held_against),
                images_seen=artifact.manifest.training.images_seen,
                seconds=artifact.manifest.training.seconds,
                notes=notes[method],
            )
        )
    return Comparison(
        software=f"synth {__version__}",
        source=pair.source,
        target=pair.target,
        tested_on="no labelled images of the target"
        if pair.test is None
        else f"{plural(len(pair.test), 'image')} of {pair.test.source}",
        size=pair.size,
        channels=pair.channels,
        classes=list(pair.classes),
        seed=seed,
        outcomes=outcomes,
        chosen=choose(outcomes).model,
        notes=list(pair.notes),
    )


def _value(metric: Metric) -> float:
    return 0.0 if metric.value is None else metric.value
