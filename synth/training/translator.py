"""What the training of all translators shares: two domains, their fixed images, and the picture of both."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from synth.artifacts import Metric
from synth.data import ImageSet
from synth.data.grid import grid
from synth.families import get_family
from synth.sampling.execution import to_uint8
from synth.sampling.noise import draw_noise
from synth.training import translation_guards as guards
from synth.training.domains import Images, are_grey
from synth.training.framing import zoom_between
from synth.training.module import FamilyModule
from synth.training.parts import Domains, Parts
from synth.training.recipe import Recipe
from synth.training.yardstick import AnyYardstick

_SHOWN = 10
"""Images of each domain in a picture."""
_CHUNK_VALUES = 2**20
"""Pixel values that are translated at a time."""
_SEED = 0


class TranslatorRecipe(Recipe):
    """Recipe of what leads from one domain to another."""

    grey: tuple[bool, bool] | None = Field(
        None,
        description="Which domain holds grey images alone, though in colour. Default: looked up.",
    )
    framing: bool = Field(
        False,
        description="Bring contents to their size in the target first: for digits, faces, parts. "
        "Models then take images of their own size alone.",
    )
    zoom: tuple[float, float] | None = Field(
        None, description="With framing: how much larger, down and across. Default: looked up."
    )


def with_domains(recipe: Recipe, images: Images) -> Recipe:
    """The recipe with what is found out from the images."""
    if not isinstance(recipe, TranslatorRecipe) or images.target is None:
        return recipe
    first, second = images.source.images, images.target.images
    found: dict[str, Any] = {}
    if recipe.grey is None:
        found["grey"] = are_grey(first), are_grey(second)
    if recipe.framing and recipe.zoom is None:
        found["zoom"] = zoom_between(first, second)
    return recipe.model_copy(update=found)


class TranslatorModule(FamilyModule):
    """A translator in training; its picture is a grid of fixed images, before and after.

    Attributes:
        directions: what a request may ask for, the default first; one of them where there is no such choice.
    """

    directions: ClassVar[tuple[str, ...]] = ("a_to_b",)

    def meet(self, domains: Domains) -> None:
        """Take the images to show: some of each domain that are not trained on."""
        assert domains.target is not None
        self.shown = tuple(_shown(parts) for parts in domains)

    def yardstick(self, domains: Domains, device: torch.device) -> AnyYardstick:
        """What the averaged weights are compared by during the run."""
        from synth.training.translation_yardstick import TranslationYardstick

        return TranslationYardstick(domains, self.recipe, device, self)

    @property
    @abstractmethod
    def rows(self) -> Sequence[str]:
        """What each row of the picture shows."""

    @abstractmethod
    def picture(self, source: Tensor, target: Tensor) -> Sequence[Tensor]:
        """The rows of the picture, each uint8 [N, C, H, W], from fixed images of both domains."""

    def preview(self) -> Image.Image:
        rows = self.picture(*self.shown)
        columns = max(len(row) for row in rows)
        return grid(torch.cat([_filled(row, columns) for row in rows]), columns)

    def translate(self, images: Tensor, direction: str = "a_to_b", start: int = 0) -> Tensor:
        """uint8 [N, C, H, W] to the same on the CPU: what the averaged weights make by default.

        ``start`` is the index of the first image, in the keys of what is random.
        """
        size = max(1, _CHUNK_VALUES // max(images[:1].numel(), 1))
        parts = [
            self._translated(part, index, direction)
            for part, index in zip(
                torch.split(images, size),
                torch.split(torch.arange(start, start + len(images)), size),
                strict=True,
            )
        ]
        return torch.cat(parts)

    @torch.inference_mode()
    def _translated(self, images: Tensor, index: Tensor, direction: str) -> Tensor:
        program: Any = get_family(self.family).load("program")(self.average)
        parameters = {parameter.name: parameter.default for parameter in program.parameters}
        if len(self.directions) > 1:
            parameters["direction"] = direction
        noise = draw_noise(program.noise, _SEED, index.to(self.device))
        pixels = images.to(self.device).to(torch.float32) / 127.5 - 1.0
        with self.autocast():
            state = program.begin_from(pixels, noise, None, parameters)
            for i in range(program.steps(parameters)):
                state = program.step(i, state, None, parameters)
        return to_uint8(program.image(state)).cpu()

    def complete(self, images: ImageSet, limit: int | None = None) -> None:
        """Nothing: all of a translator is learnt."""

    def warnings(self, metrics: Mapping[str, Metric]) -> list[str]:
        return guards.warnings(metrics)

    def measure(self, images: ImageSet, kind: str) -> Mapping[str, Metric]:
        """Nothing on its own: what translations are worth is told from both domains, see the yardstick."""
        return {}


def _shown(parts: Parts | None) -> Tensor:
    assert parts is not None
    images = parts.validation if len(parts.validation) >= _SHOWN else parts.training
    return images.sample(_SHOWN).images


def _filled(row: Tensor, columns: int) -> Tensor:
    """The row with white images at its end."""
    missing = row.new_full((columns - len(row), *row.shape[1:]), 255)
    return torch.cat([row, missing])
