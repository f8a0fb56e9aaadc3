"""Sections 5, 7 and 8: what the utility study says of usefulness, of each class and group, and of labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from synth.data import ImageSet
from synth.evaluation.figures import Estimate, Figure, NotMeasured
from synth.evaluation.intervals import over_seeds
from synth.evaluation.metrics.intervals import share
from synth.evaluation.mixtures import Mixture, primary
from synth.evaluation.report.model import (
    ClassAgreement,
    ClassUtility,
    Disagreement,
    LabelPart,
    Mix,
    UtilityPart,
)
from synth.evaluation.report.pictures import tile
from synth.evaluation.study import MINIMUM, WIDTH, Study, Trial

_LEAST_TESTED = 10
"""Test images of a class or group, below which nothing is said of it."""
_CONFIDENT = 0.9
_SHOWN = 20


def why_no_study(real: ImageSet, synthetic: ImageSet, holdout: ImageSet | None) -> str | None:
    """Why utility cannot be measured on these sets; None where it can."""
    if real.labels is None or real.classes is None or len(real.classes) < 2:
        return "needs labelled real images of at least 2 classes"
    if synthetic.labels is None:
        return "needs labelled synthetic images"
    if holdout is not None and holdout.labels is None:
        return "needs a labelled holdout"
    if min(real.images.shape[2:]) < 4:
        return "needs images of at least 4 x 4 pixels"
    sets = {"real": real, "synthetic": synthetic, "holdout": holdout}
    short = [f"{len(one)} {name}" for name, one in sets.items() if one is not None and len(one) < MINIMUM]
    if short:
        return f"needs at least {MINIMUM} images in each set; there are {' and '.join(short)}"
    if len(torch.unique(real.labels)) < 2:
        return "needs real images of at least 2 classes; all are of one"
    return None


def utility_part(study: Study, real: ImageSet, *, tested: str) -> UtilityPart:
    """Section 5; ``tested`` tells in words on what."""
    found = study.mixtures
    alone, synthetic = _find(found, "all"), _find(found, "none")
    few = next((one for one in found if one.size == "few" and not one.synthetic and not one.classical), None)
    classical = next(one for one in found if one.size == "all" and one.classical)
    mixed = primary(found, "all")
    mixed_few = primary(found, "few")
    base, tstr = study.of(alone), study.of(synthetic)
    assert mixed is not None
    why_small = "needs enough real images for a tenth of them to be a training set"
    return UtilityPart(
        real_accuracy=_accuracy(base),
        tstr_accuracy=_accuracy(tstr).model_copy(update={"floor": _accuracy(base).value}),
        tstr_ratio=_ratio(tstr, base),
        trts_accuracy=over_seeds(
            study.trts,
            images=len(study.opinions),
            deviation=_deviation(float(np.mean(study.trts))),
            how=f"{len(study.opinions):,} synthetic images",
            floor=_accuracy(base).value,
            bounds=(0.0, 1.0),
        ),
        gain=_gain(study.of(mixed), base),
        gain_small=NotMeasured(reason=why_small)
        if few is None or mixed_few is None
        else _gain(study.of(mixed_few), study.of(few)),
        classical_gain=_gain(study.of(classical), base),
        gain_over_classical=_gain(study.of(mixed), study.of(classical)),
        mixes=[_mix(study, one, {"all": alone, "few": few}.get(one.size)) for one in found],
        per_class=[
            _compare(name, study, alone, mixed, _of_class(number))
            for number, name in enumerate(real.classes or ())
        ],
        how=(
            f"A small CNN of width {WIDTH}, each training on {study.images_seen:,} images seen; tested on "
            f"{tested}; classical augmentation is shift, crop, {'mirroring, ' if study.flip else ''}erasing"
        ),
    )


def group_utility(study: Study, tested: ImageSet, groups: Mapping[str, str]) -> list[ClassUtility]:
    """Accuracy on each group of the images tested on; ``groups`` maps content hashes to names."""
    of_row = np.array([groups.get(name, "") for name in tested.ids])
    alone, mixed = _find(study.mixtures, "all"), primary(study.mixtures, "all")
    assert mixed is not None
    return [
        _compare(name, study, alone, mixed, _of_rows(of_row == name))
        for name in sorted(set(of_row.tolist()) - {""})
    ]


def label_part(study: Study, synthetic: ImageSet, classes: Sequence[str]) -> LabelPart:
    """Section 8."""
    assert synthetic.labels is not None
    labels = synthetic.labels
    confidence, opinion = study.opinions.max(dim=1)
    agrees = opinion == labels
    confident = ~agrees & (confidence > _CONFIDENT)
    floor = _accuracy(study.of(_find(study.mixtures, "all"))).value
    how = "classifiers trained on real images alone, their opinions averaged"
    ranked = torch.where(agrees, -1.0, confidence).argsort(descending=True, stable=True)[:_SHOWN]
    return LabelPart(
        agreement=share(agrees, f"{len(labels):,} images; {how}").model_copy(update={"floor": floor}),
        confident_disagreement=share(confident, f"{len(labels):,} images"),
        per_class=[
            ClassAgreement(name=name, agreement=_agreement(agrees[labels == number]))
            for number, name in enumerate(classes)
        ],
        disagreements=[
            Disagreement(
                synthetic=row,
                label=classes[int(labels[row])],
                taken_for=classes[int(opinion[row])],
                confidence=float(confidence[row]),
                picture=tile(
                    synthetic.images[row : row + 1],
                    1,
                    f"labelled {classes[int(labels[row])]}, taken for {classes[int(opinion[row])]}",
                ),
            )
            for row in ranked.tolist()
            if not agrees[row]
        ],
    )


def _agreement(agrees: Tensor) -> Figure:
    if len(agrees) < _LEAST_TESTED:
        return NotMeasured(reason=f"needs at least {_LEAST_TESTED} images; there are {len(agrees)}")
    return share(agrees, f"{len(agrees):,} images")


def _find(found: Sequence[Mixture], size: str) -> Mixture:
    return next(one for one in found if one.size == size and not one.classical)


def _mix(study: Study, mixture: Mixture, alone: Mixture | None) -> Mix:
    compared = alone is not None and mixture != alone
    return Mix(
        name=mixture.name,
        real=mixture.real,
        synthetic=mixture.synthetic,
        classical=mixture.classical,
        accuracy=_accuracy(study.of(mixture)),
        gain=_gain(study.of(mixture), study.of(alone)) if compared and alone is not None else None,
    )


def _accuracy(trials: Sequence[Trial]) -> Estimate:
    mean = float(np.mean([trial.accuracy for trial in trials]))
    tested = sum(len(trial.rows) for trial in trials)
    return over_seeds(
        [trial.accuracy for trial in trials],
        images=tested,
        deviation=_deviation(mean),
        how=f"{tested:,} test images",
        bounds=(0.0, 1.0),
    )


def _ratio(trials: Sequence[Trial], base: Sequence[Trial]) -> Figure:
    if min(trial.accuracy for trial in base) <= 0.0:
        return NotMeasured(reason="needs a classifier that learns something from the real images; it has not")
    values = [one.accuracy / other.accuracy for one, other in zip(trials, base, strict=True)]
    spread = max(_deviation(trials[0].accuracy), _deviation(base[0].accuracy)) / base[0].accuracy
    images = len(trials[0].rows)
    return over_seeds(
        values, images=images, deviation=spread, how="TSTR by real only", bounds=(0.0, math.inf)
    )


def _gain(trials: Sequence[Trial], base: Sequence[Trial]) -> Figure:
    """Seed by seed, and image by image: both were tested on the same ones."""
    values = [one.accuracy - other.accuracy for one, other in zip(trials, base, strict=True)]
    difference = trials[0].right.float() - base[0].right.float()
    return over_seeds(
        values,
        images=len(difference),
        deviation=float(difference.std(correction=0)),
        how=f"{sum(len(trial.rows) for trial in trials):,} test images, paired",
        bounds=(-1.0, 1.0),
    )


def _compare(
    name: str, study: Study, alone: Mixture, mixed: Mixture, select: Callable[[Trial], Tensor]
) -> ClassUtility:
    """Before and after on the test images that ``select`` (trial -> bool [T]) names."""
    before, after, tstr = (
        [_part(trial, select(trial)) for trial in study.of(one)]
        for one in (alone, mixed, _find(study.mixtures, "none"))
    )
    fewest = min(len(trial.rows) for trial in before)
    if fewest < _LEAST_TESTED:
        missing = NotMeasured(
            reason=f"needs at least {_LEAST_TESTED} test images for each seed; there are {fewest}"
        )
        return ClassUtility(name=name, before=missing, after=missing, delta=missing, tstr=missing)
    return ClassUtility(
        name=name,
        before=_accuracy(before),
        after=_accuracy(after),
        delta=_gain(after, before),
        tstr=_accuracy(tstr),
    )


def _of_class(number: int) -> Callable[[Trial], Tensor]:
    return lambda trial: trial.labels == number


def _of_rows(wanted: np.ndarray) -> Callable[[Trial], Tensor]:
    return lambda trial: torch.from_numpy(wanted[trial.rows])


def _part(trial: Trial, chosen: Tensor) -> Trial:
    return Trial(
        trial.mixture, trial.seed, trial.right[chosen], trial.labels[chosen], trial.rows[chosen.numpy()]
    )


def _deviation(rate: float) -> float:
    """Of one image being right, with this probability; half a hit is allowed for at 0 and 1."""
    return math.sqrt(max(rate * (1.0 - rate), 1e-4))


def unmeasured_utility(reason: str) -> UtilityPart:
    """Section 5 where nothing could be measured."""
    missing = NotMeasured(reason=reason)
    return UtilityPart(
        real_accuracy=missing, tstr_accuracy=missing, tstr_ratio=missing, trts_accuracy=missing, gain=missing,
        gain_small=missing, classical_gain=missing, gain_over_classical=missing, mixes=[], per_class=[],
        how="",
    )  # fmt: skip


def unmeasured_labels(reason: str) -> LabelPart:
    """Section 8 where nothing could be measured."""
    missing = NotMeasured(reason=reason)
    return LabelPart(agreement=missing, confident_disagreement=missing, per_class=[], disagreements=[])
