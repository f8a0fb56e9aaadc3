"""The planted-copy power test: copies are put in on purpose, and it is counted how many are found."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from synth.errors import UsageError
from synth.evaluation.extractor import Extractor
from synth.evaluation.figures import Figure, NotMeasured
from synth.evaluation.metrics.copies import CALIBRATION, CopyDetector, Look, match
from synth.evaluation.metrics.intervals import share
from synth.randomness import normals, permutation, stream_id

_ROWS = stream_id("evaluation/planted/rows")
_NOISE = stream_id("evaluation/planted/noise")


@dataclass(frozen=True)
class Power:
    """What the search for copies finds, where a share of a set is copies."""

    share: float
    planted: int
    """Number of copies planted, evenly of all kinds."""
    recall: Figure
    """Share of the planted copies that are found: 1 is best."""
    false_alarms: Figure
    """Share of holdout images taken for copies by a rule that has not seen them: at most 0.01 is aimed at."""
    by_kind: dict[str, Figure]
    """Recall of each kind of ``KINDS``."""


def planted_copy_power(
    training: Tensor,
    holdout: Tensor,
    images: tuple[Tensor, Tensor],
    extractor: Extractor,
    *,
    count: int,
    shares: Sequence[float] = (0.01, 0.05, 0.1),
    detector: CopyDetector | None = None,
    seed: int = 0,
) -> list[Power]:
    """Plant copies of training images among ``count`` synthetic ones, and search as ``novelty`` does.

    Whether an image is flagged depends on no other synthetic image, so that only the planted ones are made.

    Args:
        training: float [N, D]; holdout: float [M, D]; both from ``extractor``.
        images: the same two sets as uint8 [., C, H, W].
        count: how many synthetic images there are.
        shares: of copies, each above 0 and up to 1; a smaller share is part of a larger one.
        detector: of the same training and holdout images, where there is one already.
        seed: of which images are planted, and of the noise.

    Raises:
        UsageError: a share that is none, or images that are not those of the features.
    """
    if not shares or not all(0 < value <= 1 for value in shares):
        raise UsageError(f"The shares of planted copies must lie above 0 and up to 1, not {list(shares)}.")
    if detector is None:
        detector = CopyDetector(Look(training, images[0]), Look(holdout, images[1]))
    wanted = [min(round(value * count), len(images[0])) for value in shares]
    rows = torch.from_numpy(permutation(seed, 0, _ROWS, len(images[0])))[: max(wanted)]
    found = torch.zeros(len(rows), dtype=torch.bool)
    for number, alter in enumerate(KINDS.values()):
        mine = torch.arange(number, len(rows), len(KINDS))
        if len(mine):
            copies = alter(images[0][rows[mine]], seed)
            matches = match(Look(extractor.features(copies), copies), detector.training)
            found[mine] = detector.rule.flags(matches)
    return [_power(value, found[:planted], detector) for value, planted in zip(shares, wanted, strict=True)]


def _power(value: float, found: Tensor, detector: CopyDetector) -> Power:
    if len(found) < len(KINDS):
        few: Figure = NotMeasured(
            reason=f"needs at least {len(KINDS)} planted copies; {value:.0%} of the images are {len(found)}"
        )
        recall, by_kind = few, dict.fromkeys(KINDS, few)
    else:
        recall = share(found, f"{len(found):,} planted copies, of {len(KINDS)} kinds")
        by_kind = {
            kind: share(found[number :: len(KINDS)], f"{len(found[number :: len(KINDS)]):,} planted copies")
            for number, kind in enumerate(KINDS)
        }
    return Power(value, len(found), recall, _false_alarms(detector), by_kind)


def _false_alarms(detector: CopyDetector) -> Figure:
    count = len(detector.holdout.distance)
    if count < 2 * CALIBRATION:
        return NotMeasured(reason=f"needs at least {2 * CALIBRATION} holdout images; there are {count}")
    return share(detector.false_alarms(), f"{count:,} holdout images, each half by the other half's rule")


def _exact(images: Tensor, seed: int) -> Tensor:
    return images


def _noise(images: Tensor, seed: int) -> Tensor:
    """Normal noise of a standard deviation of 8 levels."""
    noise = normals(seed, torch.arange(len(images)), _NOISE, images[:1].numel()).reshape(images.shape)
    return _pixels(images.float() + 8 * noise)


def _shift(images: Tensor, seed: int) -> Tensor:
    """One pixel to each of the eight sides in turn; the edge is repeated."""
    padded = F.pad(images.float(), (1, 1, 1, 1), mode="replicate").to(torch.uint8)
    height, width = images.shape[2:]
    moves = [(top, left) for top in range(3) for left in range(3) if (top, left) != (1, 1)]
    places = [moves[number % len(moves)] for number in range(len(images))]
    return torch.stack(
        [
            image[:, top : top + height, left : left + width]
            for image, (top, left) in zip(padded, places, strict=True)
        ]
    )


def _brightness(images: Tensor, seed: int) -> Tensor:
    """A tenth brighter and darker, in turn."""
    factors = torch.tensor([1.1, 0.9])[torch.arange(len(images)) % 2].reshape(-1, 1, 1, 1)
    return _pixels(images.float() * factors)


def _jpeg(images: Tensor, seed: int) -> Tensor:
    """Through JPEG of quality 75."""
    decoded = []
    for pixels in images.permute(0, 2, 3, 1).numpy():
        buffer = io.BytesIO()
        Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, "JPEG", quality=75)
        with Image.open(buffer) as image:
            decoded.append(np.asarray(image).reshape(pixels.shape))
    return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous()


def _pixels(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)


KINDS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "exact": _exact,
    "noise": _noise,
    "shift": _shift,
    "brightness": _brightness,
    "jpeg": _jpeg,
}
"""How copies are altered, in pixels; each takes images uint8 [N, C, H, W], N from 1, and a seed."""
