"""What an operation is: a typed configuration, a plan of plain numbers, and a pure function of the two.

``plan`` turns the random words of n samples into parameters, arrays [n, ...] whose rows are plain JSON.
``apply`` takes samples and parameters and draws nothing: a recorded plan gives the same samples again. Both
treat each row by itself, so that a batch and its samples one by one give the same bytes.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from synth.augment.distributions import Distribution
from synth.augment.keys import unit
from synth.augment.samples import Samples

Parameters = Mapping[str, np.ndarray]
"""By name: an array [n, ...] of numbers, one row for each sample."""
Target = Literal["image", "boxes", "masks", "points", "label"]
Need = Literal["partner", "objects", "model", "labels", "gradients"]
ALL: frozenset[Target] = frozenset({"image", "boxes", "masks", "points", "label"})
LabelEffect = Literal["preserve", "mix", "condition", "pseudo", "drop"]


@dataclass(frozen=True)
class Meta:
    """What a plan may depend on besides its draws: height and width in pixels, and the number of channels."""

    size: tuple[int, int]
    channels: int


class Operation(BaseModel):
    """Base of all operations; the fields of a subclass are its parameters in a specification.

    Each field that is a distribution takes one random word for each sample, in the order of the fields.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, ignored_types=(cached_property,)
    )

    name: ClassVar[str]
    version: ClassVar[int] = 1
    targets: ClassVar[frozenset[Target]] = ALL
    """What is right after it: targets that are not named would be wrong, and are refused."""
    geometry: ClassVar[Literal["none", "moves", "resizes"]] = "none"
    """Whether pixels move, or the size changes as well."""
    mirrors: ClassVar[bool] = False
    """Turns left into right, which some classes do not survive."""
    needs: ClassVar[frozenset[Need]] = frozenset()
    """What it takes besides the image; operations that need a partner stand in the stage ``batch``."""
    label_effect: ClassVar[LabelEffect] = "preserve"
    """Labels stay, become shares, decide what is made, come from a model, or go with what they were of."""
    in_bytes: ClassVar[bool] = False
    """Makes no floating-point copies, for which large batches are cut to what a cache holds."""
    extra_words: ClassVar[int] = 0
    """Random words that it takes besides."""

    id: str = Field(
        "", min_length=1, description="Decides its random numbers, and is unique; by default its name."
    )
    probability: float = Field(1.0, ge=0, le=1, description="Share of the samples that it is applied to.")

    @property
    def needs_labels(self) -> bool:
        """Whether it cannot do without the class of each image."""
        return False

    @property
    def passes(self) -> tuple[int, int]:
        """Of one image through a model, at most, where whoever writes the pipeline says how many: by gradient
        steps, and by queries."""
        return 0, 0

    def mirrors_at(self, size: tuple[int, int] | None) -> bool:
        """``mirrors``; or shows mirror images as much as the image, of this size, at its edges."""
        return self.mirrors

    @property
    def carries(self) -> frozenset[Target]:
        """``targets``, without those for which only this instance is wrong."""
        return self.targets

    @cached_property
    def drawn(self) -> tuple[str, ...]:
        """Names of the fields that are drawn."""
        fields = type(self).model_fields
        return tuple(name for name in fields if isinstance(getattr(self, name), Distribution))

    @property
    def words(self) -> int:
        """Random words for each sample."""
        return len(self.drawn) + self.extra_words

    @cached_property
    def random(self) -> bool:
        """Whether the words matter; where they do not, ``plan`` takes none of them, too."""
        kinds = {getattr(self, name).kind for name in self.drawn}
        return self.words > len(self.drawn) or bool(kinds - {"constant"})

    def plan(self, words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        """The parameters of n samples from their words, int64 [n, ``words``]."""
        drawn = self._distributions
        if not drawn:
            return self.refine({}, words, meta)
        draws = unit(words[:, : len(drawn)]) if self.random else np.zeros((len(words), len(drawn)))
        found = {name: one.quantile(draws[:, at]) for at, (name, one) in enumerate(drawn)}
        return self.refine(found, words[:, len(drawn) :], meta)

    @cached_property
    def _distributions(self) -> tuple[tuple[str, Distribution], ...]:
        return tuple((name, getattr(self, name)) for name in self.drawn)

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        """The parameters, from those drawn and from the extra words, int64 [n, ``extra_words``]."""
        return found

    def refuse(self, parameters: Parameters, meta: Meta) -> None:
        """Raise ValueError for parameters that no plan for such samples has.

        They come from a record, with the names, shapes and types of those that are planned.
        """
        for name in self.drawn:
            if name in parameters:
                one: Distribution = getattr(self, name)
                require(parameters, name, one.low, one.high)

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width after it; raises ConfigError where it cannot be applied to images of that size."""
        return size

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the largest image on the way to the result, which takes memory as well."""
        return max(size, self.output_size(size), key=math.prod)


class SampleOperation(Operation):
    """Changes each sample by itself."""

    @abstractmethod
    def apply(self, samples: Samples, parameters: Parameters) -> Samples:
        """The n samples after it; those given are not changed."""


class PixelOperation(SampleOperation):
    """Changes values and moves nothing."""

    spares_alpha: ClassVar[bool] = True
    """Transparency, the last of 2 or 4 channels, is left as it is."""

    def apply(self, samples: Samples, parameters: Parameters) -> Samples:
        images = samples.images
        if self.spares_alpha and images.shape[1] in (2, 4):
            changed = self.pixels(images[:, :-1].contiguous(), parameters)
            return samples.with_images(torch.cat([changed, images[:, -1:]], dim=1))
        return samples.with_images(self.pixels(images, parameters))

    @abstractmethod
    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        """uint8 [n, C, H, W] of uint8 [n, C, H, W]."""


class MixingOperation(Operation):
    """Mixes each sample with others of the data set."""

    needs: ClassVar[frozenset[Need]] = frozenset({"partner"})
    label_effect: ClassVar[LabelEffect] = "mix"
    partners: ClassVar[int] = 1
    """How many of them each sample is mixed with."""

    @abstractmethod
    def mix(self, samples: Samples, partners: Sequence[Samples], parameters: Parameters) -> Samples:
        """The n samples mixed with so many times n of the same shape; labels, if any, are float32 [n, K].

        Samples and partners have the same of boxes, masks and points.
        """


def require(parameters: Parameters, name: str, low: Any, high: Any) -> None:
    """Raise ValueError where a parameter lies outside of bounds, numbers or arrays."""
    values = parameters[name]
    if not ((values >= low) & (values <= high)).all():
        raise ValueError(f"{name} lies outside of {np.asarray(low).tolist()} to {np.asarray(high).tolist()}")


def column(values: np.ndarray, like: Tensor) -> Tensor:
    """float32 [n, 1, 1, 1] of numbers [n], on the device of ``like``."""
    return torch.from_numpy(values.astype(np.float32)).to(like.device).reshape(-1, 1, 1, 1)
