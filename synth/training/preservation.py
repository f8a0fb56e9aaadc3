"""Whether translation keeps what images show: their classes, and the places of things.

Classes are told by a classifier of the source domain, which is trained within the run. It has to recognise in
the style of another domain what it has seen in its own, so that it learns under strong changes of shape,
stroke and tone. What it says of an image before and after decides, and not the image's label: its own
mistakes on the source domain do not count against the translator.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from synth.data import ImageSet
from synth.evaluation.statistics import LUMA
from synth.evaluation.utility import Augment, predict_classifier, train_classifier
from synth.randomness import stream_id, uniforms
from synth.training.recipe import Recipe

_STREAM = stream_id("training/preservation")
_SHARE_OF_ZOOM = 0.7
_INVERSION = stream_id("training/preservation/inversion")
_LARGEST_SIDE = 64
"""Pixels a side that the classifier looks at; larger images are reduced."""
_SMALLEST_SIDE = 4
_IMAGES, _PIXELS = 200_000, 200_000 * 28 * 28
"""Seen in its training at the most: about half a minute of two CPU cores."""
_SHARE_OF_IMAGES, _MINUTES = 0.5, 8.0
"""A run of fewer images, or of fewer minutes, trains it on fewer images."""


class Opinion(NamedTuple):
    """What the classifier says of images: class numbers int64 [N]."""

    classes: Tensor

    def kept(self, after: Opinion) -> float:
        """Share of the images, 0 to 1, whose class is the same after."""
        return float((self.classes == after.classes).float().mean())


class SourceClassifier:
    """Tells the classes of a domain, in whatever style."""

    def __init__(
        self, training: ImageSet, recipe: Recipe, device: torch.device, *, share: float, augment: Augment
    ) -> None:
        """
        Args:
            training: images with labels; see ``can_tell``.
            share: of the usual length of its training.
            augment: what it is to look through: ``changed``, ``inverted_too``, or more than that.
        """
        assert training.labels is not None
        classes = len(training.classes or ())
        images = _reduced(training.images)
        pixels = images[0, 0].numel()
        seen = share * min(_IMAGES, _PIXELS / pixels) * min(1.0, (recipe.minutes or _MINUTES) / _MINUTES)
        if recipe.images_seen is not None:
            seen = min(seen, _SHARE_OF_IMAGES * recipe.images_seen)
        self._network = train_classifier(
            images,
            training.labels,
            classes,
            seed=recipe.seed,
            images_seen=max(1, int(seen)),
            device=str(device),
            augment=augment,
        )

    @staticmethod
    def can_tell(training: ImageSet) -> bool:
        """Whether there are classes to tell apart, in images that are large enough."""
        return training.labels is not None and min(training.images.shape[2:]) >= _SMALLEST_SIDE

    def of(self, images: Tensor) -> Opinion:
        """Its opinion of uint8 [N, C, H, W]."""
        return Opinion(predict_classifier(self._network, _reduced(images)).argmax(dim=1))


def _reduced(images: Tensor) -> Tensor:
    """uint8 [N, C, H, W] with sides of at most 64 pixels."""
    height, width = images.shape[2:]
    scale = max(height, width) / _LARGEST_SIDE
    if scale <= 1.0:
        return images
    size = max(1, round(height / scale)), max(1, round(width / scale))
    parts = [
        F.interpolate(part.float(), size, mode="area").round().to(torch.uint8)
        for part in torch.split(images, 1_000)
    ]
    return torch.cat(parts)


def changed(images: Tensor, seed: int, index: Tensor, zoom: float = 1.0) -> Tensor:
    """Float images [N, C, H, W] in [-1, 1], each changed by its key in shape, stroke and tone.

    Shapes are scaled by 0.67 to 1.5, stretched, sheared, turned by up to 12 degrees and shifted; strokes get
    thicker or thinner, and blurred; each channel gets a gain and an offset. What is left tells the class.
    Where contents are ``zoom`` times as large in the other domain, scales lie about one between 1 and that.
    """
    draws = uniforms(seed, index, _STREAM, 24).to(images.device)
    centred = 2.0 * draws - 1.0
    images = _moved(images, centred[:, :7], _SHARE_OF_ZOOM * math.log(zoom))
    images = _stroked(images, centred[:, 7], draws[:, 8:10])
    return _toned(images, draws[:, 10:])


def inverted_too(images: Tensor, seed: int, index: Tensor, zoom: float = 1.0) -> Tensor:
    """The same, and every second image with light and dark exchanged."""
    sign = torch.where(uniforms(seed, index, _INVERSION, 1).to(images.device) < 0.5, -1.0, 1.0)
    return changed(images, seed, index, zoom) * _column(sign)


def _moved(images: Tensor, centred: Tensor, larger: float) -> Tensor:
    """An affine change by values [N, 7] of -1 to 1; ``larger``: logarithm of the scale in the middle."""
    scale, stretch = torch.exp(-larger - 0.4 * centred[:, 0]), torch.exp(0.2 * centred[:, 1])
    angle, shear = 0.21 * centred[:, 2], 0.2 * centred[:, 3]
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    first = [cos * stretch, cos * shear - sin, 0.12 * centred[:, 4]]
    second = [sin * stretch, cos / stretch + sin * shear, 0.12 * centred[:, 5]]
    moves = torch.stack([*first, *second], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(moves, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid.to(images.dtype), padding_mode="border", align_corners=False)


def _stroked(images: Tensor, centred: Tensor, draws: Tensor) -> Tensor:
    """What is bright grows or shrinks by up to a pixel, and all is blurred, by none to two binomials."""
    larger = F.max_pool2d(images, 3, 1, 1)
    smaller = -F.max_pool2d(-images, 3, 1, 1)
    amount = _column(centred)
    images = torch.lerp(images, torch.where(amount > 0, larger, smaller), amount.abs())
    for number in range(2):
        blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
        images = torch.lerp(images, blurred, _column(draws[:, number]))
    return images


def _toned(images: Tensor, draws: Tensor) -> Tensor:
    """Gain and offset of each channel, by uniforms [N, 14]."""
    channels = images.shape[1]
    gain, offset = 0.5 + 0.7 * draws[:, :channels], 0.8 * (draws[:, 3 : 3 + channels] - 0.5)
    return images * gain[:, :, None, None] + offset[:, :, None, None]


def _column(values: Tensor) -> Tensor:
    return values.reshape(-1, 1, 1, 1)


def structure_similarity(before: Tensor, after: Tensor) -> Tensor:
    """float32 [N], 0 to 1: how far edges are where they were, in the direction that they had.

    The cosine between the fields of both images' structure tensors (Bigün and Granlund, ICCV 1987), smoothed
    over some pixels. It does not change with brightness, contrast, or inversion.

    Args:
        before, after: uint8 [N, C, H, W] of at least 3 x 3 pixels.
    """
    first, second = _structure(before), _structure(after)
    product = (first * second).sum(dim=(1, 2, 3))
    one, other = (field.square().sum(dim=(1, 2, 3)).sqrt() for field in (first, second))
    # Without any edge before and after there is nothing that could have moved.
    cosine = product / (one * other).clamp(min=1e-12)
    return torch.where((one == 0) & (other == 0), 1.0, cosine).clamp(0.0, 1.0)


def _structure(images: Tensor) -> Tensor:
    """float32 [N, 3, H - 2, W - 2]: smoothed products of gradients xx, yy and xy, over their length."""
    luma = luma_of(images)
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    gradients = F.conv2d(luma, torch.stack([across, across.T])[:, None])
    x, y = gradients[:, :1], gradients[:, 1:]
    length = (x.square() + y.square()).sqrt().clamp(min=1e-6)
    # Over the length: strong edges count for what they are, and not for their square.
    field = torch.cat([x * x, y * y, 2.0**0.5 * x * y], dim=1) / length
    return F.avg_pool2d(field, 3, 1, 1)


def luma_of(images: Tensor) -> Tensor:
    """float32 [N, 1, H, W], 0 to 1, of uint8 [N, C, H, W]."""
    values = images.to(torch.float32) / 255.0
    if values.shape[1] == 1:
        return values
    return torch.einsum("nchw,c->nhw", values, torch.tensor(LUMA))[:, None]
