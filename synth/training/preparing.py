"""What every process of a training begins with: a module of the family, brought to where its run is."""

from __future__ import annotations

from typing import Any, cast

import torch

from synth.errors import ConfigError, ResumeError
from synth.families import get_family
from synth.models.program import ImageShape
from synth.text import brief
from synth.training.budget import Budget
from synth.training.module import FamilyModule
from synth.training.parts import Domains
from synth.training.recipe import Recipe
from synth.training.runs import Run


def build_module(family: str, recipe: Recipe, domains: Domains) -> FamilyModule:
    """An untrained module; ConfigError where its network does not fit the images."""
    images = domains.source.training
    shape = ImageShape(*images.images.shape[1:])
    # What is learnt of a way between domains holds for every class; labels only tell whether it keeps them.
    translates = domains.target is not None and not recipe.needs_labels
    classes = 0 if translates else len(images.classes or ())
    try:
        # The only use of torch's own generator: initial weights, under a fixed seed, leaving no trace.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(recipe.seed % 2**63)
            module = cast(FamilyModule, get_family(family).load("module")(recipe, shape, classes))
    except ValueError as error:
        raise ConfigError(f"The network does not fit images of {shape}: {error}.") from error
    module.meet(domains)
    return module


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
