"""What every process of a training does around each step: schedule, average, count, and the end."""

from __future__ import annotations

from typing import Any

import lightning

from synth.training.batches import TrainingBatch
from synth.training.budget import Budget
from synth.training.module import FamilyModule
from synth.training.recipe import Recipe
from synth.training.team import Team

_EASED_STEPS, _EASED_SHARE = 100, 0.25
"""The first steps of a warm start, and their most of a run whose length is known."""


class Pace(lightning.Callback):
    """Lightning calls it around each step. With several devices all processes keep the leader's pace.

    Attributes:
        budget: counts the images of all processes.
    """

    def __init__(self, budget: Budget, saved: dict[str, Any] | None, team: Team) -> None:
        self.budget, self._saved, self._team = budget, saved, team

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self._saved is not None:
            trainer.precision_plugin.load_state_dict(self._saved["precision"])
            for optimiser, state in zip(trainer.optimizers, self._saved["optimisers"], strict=True):
                optimiser.load_state_dict(state)
            self._saved = None
        _ours(pl_module).team = self._team
        self._progress, _ = self._team.agree(self.budget.progress, False)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        module = _ours(pl_module)
        module.progress = self._progress
        rate = eased(self.budget.recipe, self.budget.images_seen)
        for optimiser in trainer.optimizers:
            for group in optimiser.param_groups:
                group["lr"] = rate * module.learning_rate() * group.get("rate_factor", 1.0)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: TrainingBatch,
        batch_idx: int,
    ) -> None:
        module = _ours(pl_module)
        self.check_step(module)
        count = len(batch.position) * self._team.size
        self.budget.images_seen += count
        module.update_average(self.budget.images_seen, count)
        enough = self.after_step(module)
        self._progress, enough = self._team.agree(self.budget.progress, enough)
        if enough:
            trainer.should_stop = True

    def check_step(self, module: FamilyModule) -> None:
        """Stop what must not be counted."""

    def after_step(self, module: FamilyModule) -> bool:
        """What else there is to do after a step; whether it was the last. The leader's word counts."""
        return False


def eased(recipe: Recipe, images_seen: int) -> float:
    """What the learning rate is multiplied by: below 1 in the first steps of a warm start.

    Adam has no memory then of how large gradients are: a few steps at the full rate undo what was learnt, and
    a warm-up that is a share of the run may be no more than that.
    """
    if recipe.warm_start is None:
        return 1.0
    steps = float(_EASED_STEPS)
    if recipe.images_seen is not None:
        steps = min(steps, _EASED_SHARE * recipe.images_seen / recipe.batch_size)
    return min(1.0, (images_seen / recipe.batch_size + 1.0) / max(steps, 1.0))


def _ours(module: lightning.LightningModule) -> FamilyModule:
    assert isinstance(module, FamilyModule)
    return module
