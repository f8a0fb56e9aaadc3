"""What every process of a training begins with: its images, and a module of the family."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch

from synth.data import LARGEST_OWN_SIDE, ImageSet, load_images, open_source
from synth.errors import ConfigError, ResumeError
from synth.families import get_family
from synth.home import cache_folder
from synth.models.program import ImageShape
from synth.text import brief
from synth.training.budget import Budget
from synth.training.module import FamilyModule
from synth.training.recipe import Recipe
from synth.training.requirements import with_labels
from synth.training.runs import Run


def read_images(source: str | Path, recipe: Recipe, *, skip_unreadable: bool) -> ImageSet:
    """All images of a source, as the recipe wants them; those that memory cannot hold lie in a file."""
    images = load_images(
        open_source(source, skip_unreadable=skip_unreadable),
        size=recipe.size,
        channels=recipe.channels,
        largest_own_side=LARGEST_OWN_SIDE,
        scratch=cache_folder(),
    )
    return with_labels(images, recipe)


def build_module(family: str, recipe: Recipe, images: ImageSet) -> FamilyModule:
    """An untrained module; ConfigError where its network does not fit the images."""
    shape = ImageShape(*images.images.shape[1:])
    try:
        # The only use of torch's own generator: initial weights, under a fixed seed, leaving no trace.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(recipe.seed % 2**63)
            return cast(
                FamilyModule, get_family(family).load("module")(recipe, shape, len(images.classes or ()))
            )
    except ValueError as error:
        raise ConfigError(f"The network does not fit images of {shape}: {error}.") from error


def restore(run: Run, module: FamilyModule) -> tuple[Budget, dict[str, Any] | None]:
    """Bring the module to where the run was stopped; the budget, and the saved state if there is one.

    Raises ResumeError where another version of synth has saved it.
    """
    if not run.state_file.exists():
        return Budget(module.recipe), None
    saved = run.load_state()
    try:
        module.restore(saved)
    except RuntimeError as error:
        raise ResumeError(
            f"{run.state_file} does not fit the network of this version of synth ({brief(error)}). "
            "Start a new run with --fresh."
        ) from error
    return Budget(module.recipe, saved["images_seen"], saved["seconds"]), saved
