"""Policies: operations chosen from published tables, whose magnitudes are those of torchvision's v2.

Parameters name the operations that were chosen and their magnitudes: factors are less 1, shears are slopes,
shifts are pixels, rotations degrees, and the rest as the operation has it.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from scipy import special

from synth.augment.distributions import Distribution, Within
from synth.augment.kernels.values import floats, rounded
from synth.augment.keys import unit
from synth.augment.operation import Meta, Parameters, SampleOperation, Target, column, require
from synth.augment.operations import colour, geometric
from synth.augment.operations.autoaugment import POLICIES
from synth.augment.samples import Samples

_SPACE = (
    *("identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness", "saturation"),
    *("contrast", "sharpness", "posterise", "solarise", "autocontrast", "equalise"),
)
_SIGNED = frozenset(_SPACE[1:10])
_FACTORS = frozenset(_SPACE[6:10])
_NAMES = np.array(sorted({*_SPACE, "invert"}))
_SHIFTS = np.array([name.startswith("translate") for name in _NAMES.tolist()])
_PIXELS: dict[str, SampleOperation] = {
    "brightness": colour.Brightness.model_validate({}),
    "saturation": colour.Saturation.model_validate({}),
    "contrast": colour.Contrast.model_validate({}),
    "sharpness": colour.Sharpness.model_validate({}),
    "posterise": colour.Posterise.model_validate({}),
    "solarise": colour.Solarise.model_validate({}),
    "autocontrast": colour.Autocontrast.model_validate({}),
    "equalise": colour.Equalise.model_validate({}),
    "invert": colour.Invert.model_validate({}),
}
_LEAST = 2.0**-25
"""The middle of the interval that a uniform number of 0 stands for."""


class _Slant(geometric.Shear):
    """Around the upper left corner, as the policies were published."""

    def inverse(self, parameters: Parameters, size: tuple[int, int]) -> np.ndarray:
        matrix = super().inverse(parameters, size)
        corner = np.array([-0.5 * size[1], -0.5 * size[0]])
        matrix[:, :2, 2] += corner - matrix[:, :2, :2] @ corner
        return matrix


class _Policy(SampleOperation):
    geometry: ClassVar[Literal["none", "moves", "resizes"]] = "moves"
    shear: ClassVar[float] = 0.3
    degrees: ClassVar[float] = 30.0
    factor: ClassVar[float] = 0.9
    shift: ClassVar[float] = 150 / 331
    bits: ClassVar[tuple[int, int]] = (8, 4)

    fill: int = Field(0, ge=0, le=255, description="Of what comes in from outside, in images.")
    mask_fill: int = Field(0, ge=0, le=255, description="The same in masks.")
    nearest: bool = Field(True, description="Take the nearest pixel, as published, and not a mean of four.")

    def most(self, name: str, size: tuple[int, int]) -> float:
        """The greatest magnitude of an operation that has a sign."""
        if name.startswith("translate"):
            return self.shift * size[1 if name == "translate_x" else 0]
        if name.startswith("shear"):
            return self.shear
        return self.degrees if name == "rotate" else self.factor

    def magnitudes(
        self, names: np.ndarray, share: np.ndarray, negative: np.ndarray, size: tuple[int, int]
    ) -> np.ndarray:
        """float64 of the shape of ``names``, at a ``share`` of 0 to 1 of the published range."""
        codes = np.searchsorted(_NAMES, names)
        most = np.array([self.most(name, size) if name in _SIGNED else 0.0 for name in _NAMES.tolist()])
        found = most[codes] * share
        # A whole number that a product fell short of by a rounding error is that number.
        found = np.where(_SHIFTS[codes], np.trunc(np.round(found, 9)), found)
        found = np.where(negative, -found, found) + 0.0
        first, last = self.bits
        found = np.where(names == "posterise", np.round(first + (last - first) * share), found)
        # Whole thresholds stay whole.
        return np.where(names == "solarise", np.round(255.0 * (1.0 - share), 9), found)

    def refuse(self, parameters: Parameters, meta: Meta) -> None:
        names = parameters["operations"]
        unknown = sorted(set(names.ravel().tolist()) - set(_NAMES.tolist()))
        if unknown:
            raise ValueError(f"there is no operation {unknown[0]!r} in it")
        most = {"posterise": 8.0, "solarise": 256.0}
        for name in set(names.ravel().tolist()):
            high = self.most(name, meta.size) if name in _SIGNED else most.get(name, np.inf)
            values = {name: parameters["magnitudes"][names == name]}
            require(values, name, -high if name in _SIGNED else 0.0, high)

    def layer(self, samples: Samples, names: np.ndarray, magnitudes: np.ndarray) -> Samples:
        """The samples after one operation each, [n] names and magnitudes."""
        for name in sorted(set(names.tolist()) - {"identity"}):
            rows = np.flatnonzero(names == name)
            operation, parameters = self._inner(name, magnitudes[rows], samples.size)
            if len(rows) == len(samples):
                samples = operation.apply(samples, parameters)
            else:
                at = torch.from_numpy(rows)
                samples = samples.with_rows(at, operation.apply(samples.take(at), parameters))
        return samples

    def _inner(
        self, name: str, value: np.ndarray, size: tuple[int, int]
    ) -> tuple[SampleOperation, Parameters]:
        if name in _PIXELS:
            field = {"posterise": "bits", "solarise": "threshold"}.get(name, "factor")
            return _PIXELS[name], {field: 1.0 + value if name in _FACTORS else value}
        if name == "rotate":
            return self._movers["rotate"], {"degrees": value}
        if name.startswith("shear"):
            return self._movers["shear"], {name: np.degrees(np.arctan(value))}
        axis = name[-1]
        return self._movers["translate"], {axis: value / size[1 if axis == "x" else 0]}

    @cached_property
    def _movers(self) -> dict[str, SampleOperation]:
        given = {"fill": self.fill, "mask_fill": self.mask_fill, "nearest": self.nearest}
        kinds = (geometric.Rotate, _Slant, geometric.Translate)
        return {kind.name: kind.model_validate(given) for kind in kinds}

    def apply(self, samples: Samples, parameters: Parameters) -> Samples:
        names, magnitudes = parameters["operations"], parameters["magnitudes"]
        for place in range(names.shape[1]):
            samples = self.layer(samples, names[:, place], magnitudes[:, place])
        return samples


def _chosen(words: np.ndarray, space: tuple[str, ...]) -> np.ndarray:
    places = np.floor(unit(words) * len(space)).astype(np.int64)
    return np.asarray(np.asarray(space)[places])


def _negative(words: np.ndarray) -> np.ndarray:
    return np.asarray(unit(words) < 0.5)


class RandAugment(_Policy):
    """Some operations of 14, one after the other, of one magnitude (Cubuk et al., arXiv 1909.13719)."""

    name: ClassVar[str] = "randaugment"
    count: int = Field(2, ge=1, le=16, description="Operations for each sample.")
    magnitude: Annotated[Distribution, Within(0, 30, whole=True)] = Field(
        Within(0, 30, whole=True).read(9), description="0 to 30."
    )

    @property
    def words(self) -> int:
        return 1 + 2 * self.count

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        names = _chosen(words[:, 0::2], _SPACE)
        share = found["magnitude"][:, None] / 30
        return {
            "operations": names,
            "magnitudes": self.magnitudes(names, share, _negative(words[:, 1::2]), meta.size),
        }


class TrivialAugmentWide(_Policy):
    """One operation of 14, of any magnitude (Müller and Hutter, arXiv 2103.10158)."""

    name: ClassVar[str] = "trivial_augment_wide"
    shear: ClassVar[float] = 0.99
    degrees: ClassVar[float] = 135.0
    factor: ClassVar[float] = 0.99
    bits: ClassVar[tuple[int, int]] = (8, 2)
    extra_words: ClassVar[int] = 3

    def most(self, name: str, size: tuple[int, int]) -> float:
        return 32.0 if name.startswith("translate") else super().most(name, size)

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        names = _chosen(words[:, :1], _SPACE)
        share = np.floor(unit(words[:, 1:2]) * 31) / 30
        return {
            "operations": names,
            "magnitudes": self.magnitudes(names, share, _negative(words[:, 2:3]), meta.size),
        }


@lru_cache(maxsize=len(POLICIES))
def _table(policy: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[pairs, 2] each: names, probabilities, and places of magnitudes."""
    names, shares, places = (
        np.array([[one[at] for one in pair] for pair in POLICIES[policy]]) for at in range(3)
    )
    return names, shares, places


class AutoAugment(_Policy):
    """One of 25 pairs of operations that were searched for (Cubuk et al., arXiv 1805.09501)."""

    name: ClassVar[str] = "autoaugment"
    policy: Literal["imagenet", "cifar10", "svhn"] = Field("imagenet", description="Found for which data.")
    extra_words: ClassVar[int] = 5

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        names, shares, places = _table(self.policy)
        rows = np.floor(unit(words[:, 0]) * len(names)).astype(np.int64)
        names, shares, places = names[rows], shares[rows], places[rows]
        names = np.where(unit(words[:, 1:3]) < shares, names, "identity")
        return {
            "operations": names,
            "magnitudes": self.magnitudes(names, places / 9, _negative(words[:, 3:5]), meta.size),
        }


class AugMix(_Policy):
    """The image mixed with chains of operations (Hendrycks et al., arXiv 1912.02781).

    Places mean nothing in a mixture, so that boxes, masks and points are refused.
    """

    name: ClassVar[str] = "augmix"
    targets: ClassVar[frozenset[Target]] = frozenset({"image", "label"})
    shift: ClassVar[float] = 1 / 3
    bits: ClassVar[tuple[int, int]] = (4, 0)
    severity: int = Field(3, ge=1, le=10, description="Magnitudes are among the lowest so many of ten.")
    width: int = Field(3, ge=1, le=8, description="Chains.")
    depth: int | None = Field(None, ge=1, le=8, description="Of each chain; by default drawn from 1 to 3.")
    alpha: float = Field(1.0, ge=0.1, le=100, description="Of the mixture's weights.")

    @property
    def words(self) -> int:
        return 1 + self.width * (2 + 3 * (self.depth or 3))

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        chains = words[:, 1:].reshape(len(words), self.width, -1)
        names = _chosen(chains[..., 2::3], _SPACE[1:])
        if self.depth is None:
            depth = 1 + np.floor(unit(chains[..., :1]) * 3)
            names = np.where(np.arange(3) < depth, names, "identity")
        share = np.floor(unit(chains[..., 3::3]) * self.severity) / 9
        parts = special.gammaincinv(self.alpha, unit(chains[..., 1]) + _LEAST)  # a Dirichlet's, once divided
        mixed = special.betaincinv(self.alpha, self.alpha, unit(words[:, :1]) + _LEAST)
        weights = mixed * parts / parts.sum(axis=1, keepdims=True)
        return {
            "operations": names,
            "magnitudes": self.magnitudes(names, share, _negative(chains[..., 4::3]), meta.size),
            "weights": np.concatenate([1.0 - mixed, weights], axis=1),
        }

    def refuse(self, parameters: Parameters, meta: Meta) -> None:
        super().refuse(parameters, meta)
        require(parameters, "weights", 0, 1)

    def apply(self, samples: Samples, parameters: Parameters) -> Samples:
        weights = parameters["weights"]
        mixture = floats(samples.images).mul_(column(weights[:, 0], samples.images))
        for chain in range(parameters["operations"].shape[1]):
            part = {name: parameters[name][:, chain] for name in ("operations", "magnitudes")}
            images = super().apply(samples, part).images
            mixture += floats(images).mul_(column(weights[:, 1 + chain], images))
        return samples.with_images(rounded(mixture))
