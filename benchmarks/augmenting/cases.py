"""What is compared: each operation of ours with the same of other libraries, over equal ranges.

torchvision's are the transforms of ``v2`` that its users compose, on uint8 tensors; kornia's work on floats
in [0, 1], which it is given and may keep, with a parameter for each image of a batch; albumentations' on
numpy arrays [H, W, C], one image at a time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

Transform = Callable[[Any], Any]
Make = Callable[[Any, int], Transform]
"""Of the library's module and the side of the image in pixels."""


@dataclass(frozen=True)
class Case:
    """One line of the comparison; libraries that have no such operation are left out."""

    pipeline: Mapping[str, Any] | str
    torchvision: Callable[[int], Transform] | None = None
    kornia: Make | None = None
    albumentations: Make | None = None
    varied: bool = False
    """Does much in one image and little in another."""


def _one(name: str, **parameters: Any) -> dict[str, Any]:
    return {"sample": [{"operation": name, "probability": 1.0, **parameters}]}


def _gamma(image: Tensor) -> Tensor:
    """torchvision has a function and no transform for it."""
    return v2.functional.adjust_gamma(image, random.uniform(0.7, 1.4))


def _basic_of_torchvision(side: int) -> Transform:
    return v2.Compose(
        [
            v2.RandomCrop(side, padding=4, padding_mode="reflect"),
            v2.RandomHorizontalFlip(),
            v2.RandomApply(
                [v2.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), 5, interpolation=InterpolationMode.BILINEAR)]
            ),
            v2.RandomApply([v2.ColorJitter(brightness=0.3)]),
            v2.RandomApply([v2.ColorJitter(contrast=0.3)]),
        ]
    )


def _basic_of_kornia(k: Any, side: int) -> Transform:
    return torch.nn.Sequential(
        k.RandomCrop((side, side), padding=4, padding_mode="reflect"),
        k.RandomHorizontalFlip(),
        k.RandomAffine(10.0, (0.1, 0.1), (0.9, 1.1), 5.0, p=0.5, padding_mode="reflection"),
        k.RandomBrightness((0.7, 1.3), p=0.5),
        k.RandomContrast((0.7, 1.3), p=0.5),
    )


def _basic_of_albumentations(a: Any, side: int) -> Transform:
    return _of_albumentations(
        a.Compose(
            [
                a.PadIfNeeded(side + 8, side + 8, border_mode=4),
                a.RandomCrop(side, side),
                a.HorizontalFlip(),
                a.Affine(
                    scale=(0.9, 1.1),
                    translate_percent=(-0.1, 0.1),
                    rotate=(-10, 10),
                    shear=(-5, 5),
                    border_mode=4,
                ),
                a.ColorJitter((0.7, 1.3), (1, 1), (1, 1), (0, 0)),
                a.ColorJitter((1, 1), (0.7, 1.3), (1, 1), (0, 0)),
            ]
        )
    )


def _of_albumentations(transform: Any) -> Transform:
    def call(image: np.ndarray) -> Any:
        return transform(image=image)["image"]

    return call


def _a(name: str, **parameters: Any) -> Make:
    return lambda a, side: _of_albumentations(getattr(a, name)(p=1.0, **parameters))


def _k(name: str, *given: Any, **parameters: Any) -> Make:
    def make(k: Any, side: int) -> Transform:
        transform: Transform = getattr(k, name)(*given, p=1.0, **parameters)
        return transform

    return make


def _jitter(**parameters: Any) -> Make:
    nothing = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
    return _a("ColorJitter", **{**nothing, **parameters})


def _affine(**given: Any) -> Callable[[int], Transform]:
    given = {"degrees": 0, **given}
    return lambda side: v2.RandomAffine(interpolation=InterpolationMode.BILINEAR, **given)


CASES: dict[str, Case] = {
    "horizontal_flip": Case(
        _one("horizontal_flip"),
        lambda side: v2.RandomHorizontalFlip(1.0),
        _k("RandomHorizontalFlip"),
        _a("HorizontalFlip"),
    ),
    "vertical_flip": Case(
        _one("vertical_flip"),
        lambda side: v2.RandomVerticalFlip(1.0),
        _k("RandomVerticalFlip"),
        _a("VerticalFlip"),
    ),
    "rotate": Case(
        _one("rotate"),
        lambda side: v2.RandomRotation(15, InterpolationMode.BILINEAR),
        _k("RandomRotation", 15.0),
        _a("Rotate", limit=15, border_mode=0),
    ),
    "scale": Case(
        _one("scale"),
        _affine(scale=(0.8, 1.25)),
        _k("RandomAffine", 0.0, scale=(0.8, 1.25)),
        _a("Affine", scale=(0.8, 1.25)),
    ),
    "translate": Case(
        _one("translate"),
        _affine(translate=(0.1, 0.1)),
        _k("RandomAffine", 0.0, (0.1, 0.1)),
        _a("Affine", translate_percent=(-0.1, 0.1)),
    ),
    "shear": Case(
        _one("shear"), _affine(shear=10), _k("RandomAffine", 0.0, shear=10.0), _a("Affine", shear=(-10, 10))
    ),
    "affine": Case(
        _one("affine"),
        _affine(degrees=10, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=5),
        _k("RandomAffine", 10.0, (0.1, 0.1), (0.9, 1.1), 5.0),
        _a(
            "Affine",
            rotate=(-10, 10),
            translate_percent=(-0.1, 0.1),
            scale=(0.9, 1.1),
            shear={"x": (-5, 5), "y": (0, 0)},
        ),
    ),
    "perspective": Case(
        _one("perspective"),
        lambda side: v2.RandomPerspective(0.3, 1.0),
        _k("RandomPerspective", 0.3),
        _a("Perspective", scale=(0.0, 0.15)),
    ),
    "elastic": Case(
        _one("elastic"),
        lambda side: v2.ElasticTransform(),
        _k("RandomElasticTransform"),
        _a("ElasticTransform", alpha=50, sigma=5),
    ),
    "grid_distortion": Case(_one("grid_distortion"), None, None, _a("GridDistortion", num_steps=5)),
    "pad": Case(
        _one("pad"),
        lambda side: v2.Pad(4),
        lambda k, side: k.PadTo((side + 8, side + 8)),
        lambda a, side: _of_albumentations(a.PadIfNeeded(side + 8, side + 8, border_mode=0, p=1.0)),
    ),
    "crop": Case(
        _one("crop", padding=4),
        lambda side: v2.RandomCrop(side, padding=4),
        lambda k, side: k.RandomCrop((side, side), padding=4, p=1.0),
        lambda a, side: _of_albumentations(
            a.Compose([a.PadIfNeeded(side + 8, side + 8, border_mode=0), a.RandomCrop(side, side)])
        ),
    ),
    "box_safe_crop": Case(_one("box_safe_crop")),
    "resized_crop": Case(
        _one("resized_crop"),
        lambda side: v2.RandomResizedCrop(side, (0.5, 1.0)),
        lambda k, side: k.RandomResizedCrop((side, side), (0.5, 1.0), p=1.0),
        lambda a, side: _of_albumentations(a.RandomResizedCrop((side, side), (0.5, 1.0), p=1.0)),
    ),
    "brightness": Case(
        _one("brightness"),
        lambda side: v2.ColorJitter(brightness=0.3),
        _k("RandomBrightness", (0.7, 1.3)),
        _jitter(brightness=(0.7, 1.3)),
    ),
    "contrast": Case(
        _one("contrast"),
        lambda side: v2.ColorJitter(contrast=0.3),
        _k("RandomContrast", (0.7, 1.3)),
        _jitter(contrast=(0.7, 1.3)),
    ),
    "saturation": Case(
        _one("saturation"),
        lambda side: v2.ColorJitter(saturation=0.3),
        _k("RandomSaturation", (0.7, 1.3)),
        _jitter(saturation=(0.7, 1.3)),
    ),
    "hue": Case(
        _one("hue"),
        lambda side: v2.ColorJitter(hue=0.05),
        _k("RandomHue", (-0.05, 0.05)),
        _jitter(hue=(-0.05, 0.05)),
    ),
    "gamma": Case(
        _one("gamma"),
        lambda side: _gamma,
        _k("RandomGamma", (0.7, 1.4)),
        _a("RandomGamma", gamma_limit=(70, 140)),
    ),
    "posterise": Case(
        _one("posterise", bits=6),
        lambda side: v2.RandomPosterize(6, 1.0),
        _k("RandomPosterize", 6),
        _a("Posterize", num_bits=6),
    ),
    "solarise": Case(
        _one("solarise", threshold=192),
        lambda side: v2.RandomSolarize(192, 1.0),
        _k("RandomSolarize", 0.25),
        _a("Solarize", threshold_range=(0.75, 0.75)),
    ),
    "invert": Case(_one("invert"), lambda side: v2.RandomInvert(1.0), _k("RandomInvert"), _a("InvertImg")),
    "equalise": Case(
        _one("equalise"), lambda side: v2.RandomEqualize(1.0), _k("RandomEqualize"), _a("Equalize")
    ),
    "autocontrast": Case(
        _one("autocontrast"),
        lambda side: v2.RandomAutocontrast(1.0),
        _k("RandomAutoContrast"),
        _a("AutoContrast"),
    ),
    "grey": Case(_one("grey"), lambda side: v2.RandomGrayscale(1.0), _k("RandomGrayscale"), _a("ToGray")),
    "channel_shuffle": Case(
        _one("channel_shuffle"),
        lambda side: v2.RandomChannelPermutation(),
        _k("RandomChannelShuffle"),
        _a("ChannelShuffle"),
    ),
    "sharpness": Case(
        _one("sharpness", factor=1.3),
        lambda side: v2.RandomAdjustSharpness(1.3, 1.0),
        _k("RandomSharpness", 0.3),
        _a("Sharpen", alpha=(0.3, 0.3), lightness=(1.0, 1.0)),
    ),
    "blur": Case(
        _one("blur", radius=2),
        lambda side: v2.GaussianBlur(5, (0.1, 1.5)),
        _k("RandomGaussianBlur", (5, 5), (0.1, 1.5)),
        _a("GaussianBlur", blur_limit=5, sigma_limit=(0.1, 1.5)),
    ),
    "jpeg": Case(
        _one("jpeg"),
        lambda side: v2.JPEG((40, 95)),
        _k("RandomJPEG", (40.0, 95.0)),
        _a("ImageCompression", quality_range=(40, 95)),
    ),
    "gaussian_noise": Case(
        _one("gaussian_noise", std=10),
        lambda side: v2.GaussianNoise(sigma=10 / 255),
        _k("RandomGaussianNoise", std=10 / 255),
        _a("GaussNoise", std_range=(10 / 255, 10 / 255)),
    ),
    "poisson_noise": Case(_one("poisson_noise"), None, None, _a("ShotNoise")),
    "speckle": Case(_one("speckle", std=0.1), None, None, _a("MultiplicativeNoise", elementwise=True)),
    "salt_and_pepper": Case(
        _one("salt_and_pepper"),
        None,
        _k("RandomSaltAndPepperNoise", (0.0001, 0.05)),
        _a("SaltAndPepper", amount=(0.0, 0.05)),
    ),
    "cutout": Case(_one("cutout"), None, None, _a("CoarseDropout", hole_height_range=(0.5, 0.5))),
    "random_erasing": Case(
        _one("random_erasing", area=[0.02, 0.33]),
        lambda side: v2.RandomErasing(1.0, value="random"),
        _k("RandomErasing", (0.02, 0.33), (0.3, 3.3)),
        _a("Erasing", scale=(0.02, 0.33), ratio=(0.3, 3.3), fill="random"),
    ),
    "grid_mask": Case(_one("grid_mask"), None, None, _a("GridDropout", ratio=0.4)),
    "basic": Case("basic", _basic_of_torchvision, _basic_of_kornia, _basic_of_albumentations, varied=True),
    "randaugment": Case(_one("randaugment"), lambda side: v2.RandAugment(), varied=True),
    "autoaugment": Case(
        _one("autoaugment"),
        lambda side: v2.AutoAugment(),
        lambda k, side: k.auto.AutoAugment("imagenet"),
        varied=True,
    ),
    "trivial_augment_wide": Case(
        _one("trivial_augment_wide"),
        lambda side: v2.TrivialAugmentWide(),
        lambda k, side: k.auto.TrivialAugment(),
        varied=True,
    ),
    "augmix": Case(_one("augmix"), lambda side: v2.AugMix(), varied=True),
}
"""By name; ``basic`` and the policies after single operations."""
