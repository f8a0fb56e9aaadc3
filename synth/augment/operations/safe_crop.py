"""A random crop that knows the boxes: drawn, grown where it must be, and placed where it may be."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from synth.augment.keys import unit
from synth.augment.operation import Meta, Parameters
from synth.augment.operations.framing import ResizedCrop
from synth.augment.samples import Samples


class BoxSafeCrop(ResizedCrop):
    """A window of random size and shape that keeps what it must of the boxes, resized.

    All places that keep enough are equally likely. A window that is too small for every one is made as much
    larger as it takes, so that there always is one. Images without boxes are cropped anywhere.
    """

    name: ClassVar[str] = "box_safe_crop"
    keep: float = Field(1.0, gt=0, le=1, description="Share of the area of a box that is to stay, at least.")
    of: Literal["every", "one"] = Field("every", description="Box; or of one that is chosen by key.")
    extra_words: ClassVar[int] = 3

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        drawn = super().refine(found, words[:, :2], meta)["window"]
        return {"sides": drawn[:, 2:], "place": unit(words[:, :2]), "box": unit(words[:, 2])}

    def apply(self, samples: Samples, parameters: Parameters) -> Samples:
        windows = np.stack([self._window(samples, parameters, row) for row in range(len(samples))])
        return super().apply(samples, {"window": windows})

    def _window(self, samples: Samples, parameters: Parameters, row: int) -> np.ndarray:
        """int64 [4]: top, left, height and width."""
        corners, boxes = np.zeros((0, 4)), samples.boxes
        if boxes is not None:
            # Those that have left the image are still there, flat and at its edge.
            here = (boxes.rows == row) & (boxes.seen > 0)
            corners = boxes.corners[here].double().numpy()
        if self.of == "one" and len(corners):
            chosen = int(parameters["box"][row] * len(corners))
            corners = corners[chosen : chosen + 1]
        spans = [
            _span(corners[:, axis], corners[:, axis + 2], self.keep**0.5, side, limit, place)
            for axis, side, limit, place in zip(
                (1, 0), parameters["sides"][row], samples.size, parameters["place"][row], strict=True
            )
        ]
        return np.array([*(first for first, _ in spans), *(length for _, length in spans)])


def _span(
    first: np.ndarray, last: np.ndarray, share: float, length: int, limit: int, place: float
) -> tuple[int, int]:
    """Where a window begins along one axis, and how long it is, so that ``share`` of each interval stays.

    A window from x on covers enough of [a, b] if it ends at or after a + share (b - a), begins at or before
    b - share (b - a), and is no shorter than share (b - a). Shares of s along both keep s^2 of the area.
    """
    least, most = 0, limit - length
    if len(first):
        wanted = share * (last - first)
        # Less a rounding error, so that a whole number stays itself.
        ends = int(np.ceil((first + wanted).max() - 1e-6))
        begins = int(np.floor((last - wanted).min() + 1e-6))
        length = max(length, ends - begins, int(np.ceil(wanted.max() - 1e-6)))
        least, most = max(ends - length, 0), min(begins, limit - length)
    return least + int(place * (most - least + 1)), length
