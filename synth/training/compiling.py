"""Compiled training steps: fewer and larger kernels, started together, for a wait in the first step.

A step of a small network is some thousand kernels, which one processor cannot start as fast as a large GPU
is done with them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar, cast

import torch
from pydantic import Field
from torch import nn

from synth.errors import TrainingError
from synth.training.recipe import Recipe

_LONG_MINUTES = 4.0
_LONG_IMAGES = 1_000_000
_C_COMPILERS = ("cc", "gcc", "clang")
_Step = TypeVar("_Step", bound=Callable[..., Any])


class CompiledRecipe(Recipe):
    """Recipe of a family whose networks can be compiled for training."""

    compile: bool | None = Field(
        None,
        description="Compile the networks for training, which takes a minute at first. None: on one GPU with "
        "Triton and a C compiler, where training is long (4 minutes or 1,000,000 images).",
    )


def is_compiled(recipe: Recipe, device: torch.device, devices: int) -> bool:
    """Whether the steps of this training are to be compiled on so many devices."""
    if not isinstance(recipe, CompiledRecipe):
        return False
    if recipe.compile is not None:
        return recipe.compile
    if devices > 1:  # was never tried with several
        return False
    long = (recipe.minutes or 0.0) >= _LONG_MINUTES or (recipe.images_seen or 0) >= _LONG_IMAGES
    return device.type == "cuda" and long and _can_compile()


def compiled(step: _Step, *, captured: bool = True) -> _Step:
    """What is called for ``step`` from then on, with tensors of the same shapes each time.

    On a GPU its kernels are captured as CUDA graphs, unless ``captured`` is false: as it has to be where
    results are used after the next call that no gradient is asked of, for they lie where those will.
    """
    return cast(_Step, torch.compile(step, dynamic=False, mode="reduce-overhead" if captured else None))


def compile_in_place(network: nn.Module, *, captured: bool = True) -> None:
    """Have the network compiled when it is called; its weights keep their names."""
    network.compile(dynamic=False, mode="reduce-overhead" if captured else None)


def not_compiled(error: Exception) -> TrainingError:
    """What to say where the compiler has failed."""
    reason = next(line for line in str(error).splitlines() if line.strip()).rstrip(".")
    return TrainingError(
        f"The networks cannot be compiled here: {reason}. Train without that: --set compile=false."
    )


def _can_compile() -> bool:
    """Triton's kernels are started by a piece of C."""
    return find_spec("triton") is not None and any(map(shutil.which, _C_COMPILERS))
