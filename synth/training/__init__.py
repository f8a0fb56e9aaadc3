"""Training: from real images and a recipe to a published artifact. Never imported by serving."""

from synth.training.fitting import fit
from synth.training.recipe import Recipe, resolve_recipe

__all__ = ["Recipe", "fit", "resolve_recipe"]
