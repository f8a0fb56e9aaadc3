"""``evaluate``: from sets of images to the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import torch

import synth
from synth.artifacts import Artifact
from synth.data import ImageSet
from synth.errors import UsageError
from synth.evaluation.extractor import Extractor
from synth.evaluation.figures import Estimate, Figure, NotMeasured
from synth.evaluation.leaks import check_no_leak
from synth.evaluation.metrics.checks import check_features
from synth.evaluation.metrics.validity import check_validity
from synth.evaluation.mixtures import PRIMARY_RATIO, RATIOS
from synth.evaluation.report.bias_part import bias_part
from synth.evaluation.report.feature_parts import (
    Features,
    diversity_part,
    fidelity_part,
    measure_manifold,
    unmeasured,
)
from synth.evaluation.report.limits import limits
from synth.evaluation.report.model import Facts, Report, ValidityPart
from synth.evaluation.report.novelty_part import novelty_part, unmeasured_novelty
from synth.evaluation.report.sets import Sets, align_sets, facts_of, shape_of
from synth.evaluation.report.study_parts import (
    label_part,
    unmeasured_labels,
    unmeasured_utility,
    utility_part,
    why_no_study,
)
from synth.evaluation.report.verdict import judge, passed
from synth.evaluation.study import budget, run_study
from synth.randomness import check_seed

MOST_SEEDS = 30

Progress = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and what comes next."""


def evaluate(
    real: ImageSet,
    synthetic: ImageSet,
    *,
    extractor: Extractor,
    holdout: ImageSet | None = None,
    generator: Artifact | None = None,
    groups: Mapping[str, str] | None = None,
    seed: int = 0,
    seeds: int = 3,
    images_seen: int | None = None,
    ratios: Sequence[float] = RATIOS,
    flip: bool = True,
    device: str = "auto",
    progress: Progress = lambda share, what: None,
) -> Report:
    """Measure what a synthetic set is worth.

    Args:
        real: the images that the generator was trained on, or that a user has to train with.
        synthetic: of the same shape; its classes, if it has some, are among the real ones, by name.
        extractor: of the features that all distances are measured in.
        holdout: real images that the generator has never seen. Without it utility is cross-validated on the
            real images, and whether training images were memorised cannot be measured.
        generator: what made the synthetic images; the holdout is checked against its training ids.
        groups: content hash -> group, of real, holdout or synthetic images: who or what must not lose out.
        seed: decides everything that is drawn.
        seeds: how often classifiers are trained, 1 to 30.
        images_seen: length of each of these trainings; by default one that fits the size of the images.
        ratios: synthetic images for each real one, in the sets that are tried.
        flip: let classical augmentation mirror; not where left and right mean something.
        device: ``auto``, ``cpu`` or ``cuda``, for the classifiers.

    Raises:
        SourceError: an empty set, real images that are all alike, unlike shapes, features that are not
        finite. LabelError: classes that the real images do not have.
        LeakError: a holdout with images that are real ones here, or that the generator was trained on.
        UsageError: a number of seeds or ratios that cannot be.
    """
    began = time.monotonic()
    check_seed(seed)
    _check_numbers(seeds, ratios, images_seen)
    sets = align_sets(real, synthetic, holdout)
    if generator is not None and holdout is not None:
        check_no_leak(generator, holdout.ids, "the holdout")
    progress(0.0, "Checking the synthetic images")
    gate = check_validity(
        sets.synthetic.images,
        sets.synthetic.labels,
        shape=shape_of(sets.real),
        classes=sets.classes,
    )
    validity = ValidityPart(
        valid_share=_exact(gate.valid_share, f"{len(sets.synthetic):,} images"), problems=gate.problems
    )
    notes = [*real.notes, *synthetic.notes, *(holdout.notes if holdout else ()), *gate.notes]
    study = None
    if not passed(validity):
        reason = "the validity gate was not passed"
        fidelity, diversity = unmeasured(reason)
        novelty = unmeasured_novelty(reason)
        utility, labels = unmeasured_utility(reason), unmeasured_labels(reason)
    else:
        features = _extract(extractor, sets, progress)
        progress(0.1, "Measuring fidelity")
        near = measure_manifold(features, seed=seed)
        fidelity = fidelity_part(sets, features, near, seed=seed)
        progress(0.25, "Measuring diversity")
        diversity = diversity_part(sets, features, near, seed=seed)
        progress(0.3, "Searching for copies")
        novelty = novelty_part(sets, features, extractor, seed=seed)
        missing = why_no_study(sets.real, sets.synthetic, sets.holdout)
        if missing is not None:
            utility, labels = unmeasured_utility(missing), unmeasured_labels(missing)
        else:
            progress(0.4, "Measuring utility")
            study = run_study(
                sets.real,
                sets.synthetic,
                sets.holdout,
                seed=seed,
                seeds=seeds,
                images_seen=images_seen or budget(sets.real.images.shape[1:]),
                ratios=ratios,
                flip=flip,
                device=device,
                progress=lambda share: progress(0.4 + 0.58 * share, "Measuring utility"),
            )
            utility = utility_part(study, sets.real, tested=_tested(sets, seeds))
            labels = label_part(study, sets.synthetic, sets.classes or ())
    bias = bias_part(sets, groups or {}, study, valid=passed(validity))
    facts = Facts(
        real=facts_of(sets.real),
        synthetic=facts_of(sets.synthetic),
        holdout=None if sets.holdout is None else facts_of(sets.holdout),
        shape=shape_of(sets.real),
        classes=None if sets.classes is None else list(sets.classes),
        model=None if generator is None else generator.manifest.reference,
        model_digest=None if generator is None else generator.manifest.digest,
        extractor=extractor.name,
        extractor_digest=extractor.digest,
        dimensions=extractor.dimensions,
        seed=seed,
        seeds=seeds,
        notes=list(dict.fromkeys(notes)),
        seconds=round(time.monotonic() - began, 1),
    )
    progress(1.0, "Done")
    return Report(
        software=f"synth {synth.__version__}, torch {torch.__version__}",
        created=datetime.now(UTC),
        verdict=judge(validity, fidelity, diversity, utility, novelty, bias, labels),
        facts=facts,
        validity=validity,
        fidelity=fidelity,
        diversity=diversity,
        utility=utility,
        novelty=novelty,
        bias=bias,
        labels=labels,
        limits=limits(facts, studied=study is not None, trained_on_known=generator is not None),
    )


def quick_settings(shape: Sequence[int]) -> dict[str, Any]:
    """Arguments of ``evaluate`` for a first look at images of ``shape`` (C, H, W)."""
    return {"images_seen": budget(shape) // 3, "ratios": (PRIMARY_RATIO,)}


def _check_numbers(seeds: int, ratios: Sequence[float], images_seen: int | None) -> None:
    if isinstance(seeds, bool) or not isinstance(seeds, int) or not 1 <= seeds <= MOST_SEEDS:
        raise UsageError(f"Utility is measured with 1 to {MOST_SEEDS} seeds, not {seeds}.")
    if not ratios or not all(0 < ratio < float("inf") for ratio in ratios):
        raise UsageError(f"Ratios are synthetic images for each real one, above 0; not {list(ratios)}.")
    if images_seen is not None and images_seen < 1:
        raise UsageError(f"A classifier must see at least 1 image, not {images_seen}.")


def _extract(extractor: Extractor, sets: Sets, progress: Progress) -> Features:
    progress(0.01, "Extracting features")
    real = extractor.features(sets.real.images)
    synthetic = extractor.features(sets.synthetic.images)
    holdout = None if sets.holdout is None else extractor.features(sets.holdout.images)
    check_features(real=real, synthetic=synthetic, holdout=real[:0] if holdout is None else holdout)
    return Features(real, synthetic, holdout)


def _tested(sets: Sets, seeds: int) -> str:
    if sets.holdout is None:
        return f"real images that it was not trained on, cross-validated over {max(seeds, 3)} folds"
    folds = "all of them at once" if seeds == 1 else f"a fold of {seeds} for each seed"
    return f"{len(sets.holdout):,} held-out real images, {folds}"


def _exact(value: float, how: str) -> Figure:
    if not 0 <= value <= 1:
        return NotMeasured(reason="the images could not be checked")
    return Estimate(value=value, low=value, high=value, how=how)
