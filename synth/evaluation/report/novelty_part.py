"""Section 6: are the synthetic images new, or are they training images once more?

With a holdout the training images are the real ones, all of them. Without one, each half of the real images
is in turn what is searched, and the other half says how near unseen real images come: every real image is
searched.
"""

from __future__ import annotations

import torch
from torch import Tensor

from synth.evaluation.extractor import Extractor
from synth.evaluation.figures import Estimate, Figure, NotMeasured
from synth.evaluation.metrics import CopyDetector, Look, Novelty, novelty, planted_copy_power
from synth.evaluation.metrics import Pair as FoundPair
from synth.evaluation.metrics import Power as FoundPower
from synth.evaluation.report.feature_parts import Features, distances
from synth.evaluation.report.model import NoveltyPart, Pair, Power
from synth.evaluation.report.pictures import side_by_side
from synth.evaluation.report.sets import Sets
from synth.randomness import permutation, stream_id

_HALVES = stream_id("evaluation/novelty halves")
_PAIRS = 20
_LEAST = 10


def novelty_part(sets: Sets, features: Features, extractor: Extractor, *, seed: int) -> NoveltyPart:
    """Section 6."""
    real, synthetic = sets.real.images, sets.synthetic.images
    searches = _searches(features, seed=seed)
    found: list[Novelty] = []
    power: list[FoundPower] = []
    for rows, unseen in searches:
        if min(len(rows), len(unseen)) < _LEAST:
            missing = f"needs at least {_LEAST} real images to search and as many unseen ones"
            return unmeasured_novelty(missing).model_copy(update={"identical": _identical(sets)})
        held = real if sets.holdout is None else sets.holdout.images
        images = real[rows], held[unseen]
        sides = features.real[rows], (features.real if features.holdout is None else features.holdout)[unseen]
        detector = CopyDetector(Look(sides[0], images[0]), Look(sides[1], images[1]))
        found.append(
            novelty(*sides, features.synthetic, images=(*images, synthetic), detector=detector, seed=seed)
        )
        if not power:
            power = planted_copy_power(
                *sides, images, extractor, count=len(synthetic), detector=detector, seed=seed
            )
    nearer: Figure = found[0].nearer_to_training
    if features.holdout is None:
        nearer = NotMeasured(reason="needs a holdout: real images that the generator has never seen")
    closest = sorted(
        (
            (pair.distance, pair, int(rows[pair.training]))
            for one, (rows, _) in zip(found, searches, strict=True)
            for pair in one.pairs
        ),
        key=lambda item: item[0],
    )
    others = {"synthetic": features.synthetic}
    if features.holdout is not None:
        others["holdout"] = features.holdout
    return NoveltyPart(
        nearer_to_training=nearer,
        copies=_sum([one.copies for one in found]),
        identical=_identical(sets),
        pairs=[_pair(sets, pair, row) for _, pair, row in closest[:_PAIRS]],
        power=[
            Power(
                share=one.share,
                planted=one.planted,
                recall=one.recall,
                false_alarms=one.false_alarms,
                by_kind=dict(one.by_kind),
            )
            for one in power
        ],
        distances=distances(features.real, others),
    )


def _pair(sets: Sets, pair: FoundPair, row: int) -> Pair:
    return Pair(
        synthetic=pair.synthetic,
        training=row,
        distance=pair.distance,
        ratio=pair.ratio,
        picture=side_by_side(
            sets.synthetic.images[pair.synthetic],
            sets.real.images[row],
            f"synthetic image {pair.synthetic} and real image {row}",
        ),
    )


def _identical(sets: Sets) -> int:
    known = {*sets.real.ids, *(() if sets.holdout is None else sets.holdout.ids)}
    return sum(name in known for name in sets.synthetic.ids)


def _searches(features: Features, *, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Rows of the real images to search, and rows of unseen ones (of the holdout, if there is one)."""
    if features.holdout is not None:
        return [(torch.arange(len(features.real)), torch.arange(len(features.holdout)))]
    order = torch.from_numpy(permutation(seed, 0, _HALVES, len(features.real)))
    first, second = order[: len(order) // 2], order[len(order) // 2 :]
    return [(first, second), (second, first)]


def _sum(figures: list[Figure]) -> Figure:
    """Copies of either half: no image is a copy of images in both but for duplicates among the real ones."""
    estimates = [one for one in figures if isinstance(one, Estimate)]
    if len(estimates) < len(figures):
        return next(one for one in figures if isinstance(one, NotMeasured))
    return Estimate(
        value=min(1.0, sum(one.value for one in estimates)),
        low=max(one.low for one in estimates),
        high=min(1.0, sum(one.high for one in estimates)),
        floor=estimates[0].floor,
        how=estimates[0].how,
    )


def unmeasured_novelty(reason: str) -> NoveltyPart:
    """The section where nothing may be measured."""
    missing = NotMeasured(reason=reason)
    return NoveltyPart(
        nearer_to_training=missing, copies=missing, identical=0, pairs=[], power=[], distances=None
    )
