"""The Lightning trainer: a module, its batches and what happens around each step, on one device."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from typing import Any

import lightning
import torch
from torch._dynamo.exc import TorchDynamoException
from torch.utils.data import DataLoader

from synth.sampling.core import is_out_of_memory
from synth.training.batches import KeyedBatches
from synth.training.compiling import is_compiled, not_compiled
from synth.training.memory import memory_exceeded
from synth.training.module import FamilyModule
from synth.training.pace import Pace
from synth.training.recipe import Recipe
from synth.training.team import Team

_LIGHTNING_PRECISION: Mapping[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def run_trainer(
    module: FamilyModule,
    batches: KeyedBatches,
    pace: Pace,
    recipe: Recipe,
    device: torch.device,
    team: Team,
) -> None:
    """Take steps until ``pace`` says that it is enough.

    Raises MemoryExceededError where a step does not fit into the device's memory, and TrainingError where it
    cannot be compiled.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if device.type == "cuda":  # what its convolutions are fastest in; for CPUs each family knows best
        module.to(memory_format=torch.channels_last)
    if is_compiled(recipe, device, team.size):
        module.compile_networks()
    with warnings.catch_warnings():
        # Lightning advises worker processes; the images lie decoded in memory.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
        # Frozen networks that others are judged by are meant to be.
        warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
        # Lightning's own use of torch's internals; nothing a user of synth could change.
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        # The compiler's own: of how it looks at tensors, and of a cache in diffusers that holds no state.
        warnings.filterwarnings("ignore", message=".*grad attribute of a Tensor that is not a leaf.*")
        warnings.filterwarnings("ignore", message=".*lru_cache.*-wrapped function.*")
        trainer = lightning.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=team.devices(device),
            strategy=team.strategy(parts_rest=module.parts_rest),
            precision=_LIGHTNING_PRECISION[recipe.precision],
            max_epochs=-1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[pace],
        )
        # A generator of its own: the loader would draw from torch's.
        starved = False
        try:
            trainer.fit(module, DataLoader(batches, batch_size=None, generator=torch.Generator()))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                if isinstance(error, TorchDynamoException):
                    raise not_compiled(error) from error
                raise
            starved = True
    if starved:  # only now is the error gone that holds the tensors of the step
        raise memory_exceeded(module, batches, device, team.size)
