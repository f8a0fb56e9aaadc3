"""What a run shows of itself now and then: a preview, curves, and how close its samples have come."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from synth.artifacts import Metric
from synth.artifacts.files import storage_errors
from synth.training.best import Best
from synth.training.budget import Budget
from synth.training.caption import captioned
from synth.training.curves import Curves
from synth.training.log import RunLog
from synth.training.module import FamilyModule, GeneratorModule
from synth.training.parts import Domains
from synth.training.preview import MOST_ROWS
from synth.training.reporter import Reporter
from synth.training.runs import Run
from synth.training.translator import TranslatorModule
from synth.training.yardstick import AnyYardstick, Yardstick

_SHARES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9)
_SHARE_OF_CANDIDATES = 0.4
"""From here on weights are measured to be published perhaps; before, they are far from their best."""
_IMAGES = 2_000


class Observer:
    """Looks at a module at fixed shares of the run, and once more at its end.

    It also tells the budget how long the end will take, so that a run of so many minutes ends in time.
    """

    def __init__(
        self,
        run: Run,
        domains: Domains,
        budget: Budget,
        log: RunLog,
        module: FamilyModule,
        device: torch.device,
    ) -> None:
        parts = domains.source
        self._run, self._training, self._budget, self._log = run, parts.training, budget, log
        self._curves = Curves(parts.validation)
        yardstick: AnyYardstick | None = None
        if isinstance(module, GeneratorModule):
            yardstick = Yardstick(parts, budget.recipe, device)
        elif isinstance(module, TranslatorModule):
            yardstick = module.yardstick(domains, device)
        self._best = None if yardstick is None else Best(run, yardstick, budget.images_seen)
        self._ahead = [share for share in _SHARES if share > budget.progress]

    def due(self, progress: float) -> bool:
        """Whether a share has been passed since the last look."""
        return bool(self._ahead) and self._ahead[0] <= progress < 1.0

    def look(self, module: FamilyModule) -> None:
        """Draw, measure and log; the module's weights are to be finite."""
        started, progress, seen = time.monotonic(), self._budget.progress, self._budget.images_seen
        self._ahead = [share for share in self._ahead if share > progress]
        limit = min(_IMAGES, len(self._training))
        module.complete(self._training, limit=limit)
        completed = time.monotonic()
        self._draw(module, seen)
        figures = self._curves.measure(module)
        candidate = progress >= _SHARE_OF_CANDIDATES
        if self._best is not None and (candidate or isinstance(module, TranslatorModule)):
            figures |= self._best.look(module, seen, keep=candidate)
        self._log.figures(seen, figures)
        self._log.plot()
        completing = (completed - started) * len(self._training) / limit
        self._budget.keep_back(completing + 2 * (time.monotonic() - completed))

    def finish(self, module: FamilyModule, tell: Reporter) -> dict[str, Metric]:
        """Give ``module.average`` the weights to publish; the figures that they were chosen by."""
        module.complete(self._training)
        if self._best is None:
            return {}
        reached, metrics = self._best.choose(module, self._budget.images_seen)
        if reached != self._budget.images_seen:
            tell.note(
                f"The weights after {reached:,} images are published: what they make was closer to the "
                "validation images than at the end, or kept more of the labels."
                if isinstance(module, TranslatorModule)
                else f"The weights after {reached:,} images are published: their samples were closer to the "
                "validation images than those at the end."
            )
            module.complete(self._training)
        return metrics

    def _draw(self, module: FamilyModule, images_seen: int) -> None:
        picture = captioned(module.preview(), f"{images_seen:,} images seen", self._rows(module))
        folder = self._run.path / "previews"
        with storage_errors("write a preview", folder):
            folder.mkdir(exist_ok=True)
            picture.save(folder / f"{images_seen:09d}.png")
        self._log.picture(images_seen, "preview", np.asarray(picture.convert("RGB")))

    def _rows(self, module: FamilyModule) -> Sequence[str]:
        """What the rows of its picture are called."""
        if isinstance(module, TranslatorModule):
            return module.rows
        names = self._training.classes if isinstance(module, GeneratorModule) else None
        return (names or ())[:MOST_ROWS]
