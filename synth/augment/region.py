"""Where the steps of a group show: in objects, of some classes or of all, or in the background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from synth.augment.objects import objects_of
from synth.augment.samples import Samples


@dataclass(frozen=True)
class Region:
    """A part of each image.

    Attributes:
        background: all that belongs to no object; else objects.
        classes: of the objects; None for all.
        share: of those, each chosen by key.
    """

    background: bool = False
    classes: tuple[int, ...] | None = None
    share: float = 1.0

    def inside(self, samples: Samples, keys: np.ndarray) -> Tensor:
        """bool [N, H, W], for a key of each sample, int64 [N]."""
        objects = objects_of(samples)
        chosen = objects.chosen(keys, np.full(len(keys), self.share), self.classes)
        shown = objects.shown(chosen, len(samples))
        return ~shown if self.background else shown

    def plain(self) -> Any:
        """As it is written in a specification."""
        if self.background:
            return "background"
        return {"classes": None if self.classes is None else list(self.classes), "share": self.share}
