"""Section 7: who gains and who loses, by class and by group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from synth.data import ImageSet
from synth.evaluation.figures import Estimate, Figure, NotMeasured
from synth.evaluation.report.model import BiasPart, Proportion
from synth.evaluation.report.sets import Sets, sound_labels
from synth.evaluation.report.study_parts import group_utility
from synth.evaluation.study import Study

_NO_GROUPS = "No groups were given, so that nothing is said of them."


def bias_part(sets: Sets, groups: Mapping[str, str], study: Study | None, *, valid: bool) -> BiasPart:
    """Section 7.

    Args:
        groups: content hash -> group; what it does not name is left out.
        study: of utility, if there is one.
        valid: whether the validity gate was passed.
    """
    real, synthetic = (_counts(one) for one in (sets.real, sets.synthetic))
    classes: list[Proportion] = []
    shift: Figure = NotMeasured(reason="needs labels in both sets")
    if sets.classes is not None and valid:
        classes = _proportions(sets.classes, real, synthetic)
        distance = sum(abs(one.real - (one.synthetic or 0.0)) for one in classes) / 2
        shift = Estimate(
            value=distance, low=distance, high=distance, how="total variation distance of the proportions"
        )
    named = {name for one in (sets.real, sets.synthetic) for id in one.ids if (name := groups.get(id))}
    of_real, of_synthetic = (
        Counter(groups[id] for id in one.ids if id in groups) for one in (sets.real, sets.synthetic)
    )
    per_group = []
    if groups and study is not None:
        per_group = group_utility(study, sets.holdout or sets.real, groups)
    return BiasPart(
        class_shift=shift,
        classes=classes,
        groups=_proportions(sorted(named), of_real, of_synthetic),
        per_group=per_group,
        note="" if groups else _NO_GROUPS,
    )


def _counts(images: ImageSet) -> Counter[str]:
    counts = images.class_counts if sound_labels(images) else None
    return Counter(dict(zip(images.classes or (), counts or (), strict=False)))


def _proportions(names: Sequence[str], real: Counter[str], synthetic: Counter[str]) -> list[Proportion]:
    many, made = sum(real.values()), sum(synthetic.values())
    return [
        Proportion(
            name=name,
            real=real[name] / max(many, 1),
            synthetic=synthetic[name] / made if made else None,
            together=(real[name] + synthetic[name]) / (many + made) if made else None,
        )
        for name in names
    ]
