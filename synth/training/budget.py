"""How long a training lasts, and how far it is."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from synth.training.recipe import Recipe

_LEAST_KEPT, _MOST_KEPT = 0.03, 0.4
"""Of ``minutes``, for what follows the last step: fitting the density, measuring, publishing."""


@dataclass
class Budget:
    """Counts images and seconds over all the parts of a run that was interrupted."""

    recipe: Recipe
    images_seen: int = 0
    earlier_seconds: float = 0.0
    _started: float = field(default_factory=lambda: time.monotonic())
    _kept_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """Training time so far, over all parts."""
        return self.earlier_seconds + time.monotonic() - self._started

    @property
    def progress(self) -> float:
        """0 at the beginning, 1 when the budget is used up."""
        if self.recipe.images_seen is not None:
            return min(1.0, self.images_seen / self.recipe.images_seen)
        whole = (self.recipe.minutes or 0.0) * 60.0
        kept = min(max(self._kept_seconds, _LEAST_KEPT * whole), _MOST_KEPT * whole)
        return min(1.0, self.seconds / (whole - kept))

    def keep_back(self, seconds: float) -> None:
        """Of the run's minutes, for what follows the last step, as it was found to take."""
        self._kept_seconds = max(seconds, self._kept_seconds)
