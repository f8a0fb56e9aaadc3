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
from synth.training.adapting.training import train
from synth.training.adapting.translation import (
    drift_of,
    may_translate,
    named_translator,
    train_translator,
    translated_source,
)
from synth.training.recipe import Recipe, resolve_recipe
from synth.training.reporter import Reporter, Silent

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

    Methods that translate are left out where the ``cut`` that was trained for them keeps too few labels.

    Raises: see ``open_domains``, ``synth.training.fit`` and ``named_translator``; ConfigError for methods
    that do not exist.
    """
    tell = reporter or Silent()
    check_name(wanted.name)
    methods = _methods(wanted)
    recipe = _recipe(wanted, {})
    translator = named_translator(wanted) if any(map(_translates, methods)) else None
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
    left_out: list[str] = []
    for method in methods:
        recipe = _recipe(wanted, {"adaptation": _ADAPTATIONS.get(method, "source")})
        recipe = recipe.model_copy(update={"size": pair.size, "channels": pair.channels})
        if _translates(method):
            translator = translator or train_translator(pair, wanted, recipe, tell)
            if not may_translate(translator, wanted):
                left_out.append(_left_out(method, translator))
                tell.note(left_out[-1])
                continue
        tell.note(f"{method}: training {wanted.name}-{method}")
        learnt_from: str | Path = pair.source_spec
        if translator is not None and _translates(method):
            translated = translated or translated_source(pair, translator, wanted, recipe.seed, tell)
            learnt_from, notes[method] = translated
        trained[method] = train("classifier", method, learnt_from, pair, recipe, wanted, tell)
    return _compare(pair, wanted, trained, notes, left_out, recipe.seed)


def _translates(method: str) -> bool:
    return method.startswith("translate")


def _left_out(method: str, translator: Artifact) -> str:
    return (
        f"{method} is left out: {drift_of(translator)}. Train it longer (--translator-minutes), name a "
        "better one (--translator), or take the risk with --allow-label-drift."
    )


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


def _compare(
    pair: DomainPair,
    wanted: Adaptation,
    trained: Mapping[str, Artifact],
    notes: Mapping[str, list[str]],
    left_out: Sequence[str],
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
        notes=[*pair.notes, *left_out],
    )


def _value(metric: Metric) -> float:
    return 0.0 if metric.value is None else metric.value
