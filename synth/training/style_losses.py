"""The terms of style transfer: what is shown stays, how it is painted is that of another image.

All compare maps of a frozen network (``synth.models.perceptual``), float [N, C, H, W] of several depths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

_VISIBLE = 0.25
_MOST_PLACES = 196
"""Places of a map that similarities are taken between; a larger map is pooled."""


@dataclass(frozen=True)
class Units:
    """What each channel of each map is measured in, so that no loud one drowns the others."""

    means: tuple[Tensor, ...]
    deviations: tuple[Tensor, ...]
    """By map, float32 [1, C, 1, 1]."""

    @staticmethod
    def of(maps: Sequence[Tensor]) -> Units:
        """From the maps of some images. A channel that is all but constant keeps the unit of its map."""
        means, deviations = [], []
        for one in maps:
            wide = one.float()
            deviation = wide.std(dim=(0, 2, 3), keepdim=True)
            means.append(wide.mean(dim=(0, 2, 3), keepdim=True))
            deviations.append(deviation.clamp(min=0.05 * float(deviation.mean()) + 1e-6))
        return Units(tuple(means), tuple(deviations))

    def __call__(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of mean 0 and deviation 1 over the images that the units are of; float32."""
        scaled = zip(maps, self.means, self.deviations, strict=True)
        return [(one.float() - mean) / deviation for one, mean, deviation in scaled]

    def to(self, device: torch.device) -> Units:
        """The same on a device."""
        return Units(
            tuple(one.to(device) for one in self.means), tuple(one.to(device) for one in self.deviations)
        )


def moment_loss(made: Sequence[Tensor], style: Sequence[Tensor]) -> Tensor:
    """Per image: squared differences of means and of covariances, over all maps; float32 [N].

    Covariances are Gram matrices of centred maps (Gatys et al., arXiv 1508.06576): which features appear
    together, wherever that is. Maps are expected in units in which their variance is about 1.
    """
    total = made[0].new_zeros(len(made[0]), dtype=torch.float32)
    for ours, theirs in zip(made, style, strict=True):
        (mean, covariance), (target_mean, target_covariance) = _moments(ours), _moments(theirs)
        channels = ours.shape[1]
        total = total + (mean - target_mean).square().sum(dim=1) / channels
        total = total + (covariance - target_covariance).square().sum(dim=(1, 2)) / channels
    return total / len(made)


def similarity_loss(made: Sequence[Tensor], content: Sequence[Tensor]) -> Tensor:
    """Per image: how far the likeness of any two places has changed, over all maps; float32 [N].

    The mean absolute difference of the cosines between the features of all pairs of places (Kolkin et al.,
    "Style transfer by relaxed optimal transport and self-similarity", arXiv 1904.12785). What lies where is
    held; whether it is bright on dark or dark on bright is not.
    """
    total = made[0].new_zeros(len(made[0]), dtype=torch.float32)
    for ours, theirs in zip(made, content, strict=True):
        difference = (_similarities(ours) - _similarities(theirs)).abs()
        total = total + difference.mean(dim=(1, 2))
    return total / len(made)


def feature_loss(made: Sequence[Tensor], content: Sequence[Tensor]) -> Tensor:
    """Per image: the mean squared difference of maps (Gatys et al.); float32 [N]."""
    total = made[0].new_zeros(len(made[0]), dtype=torch.float32)
    for ours, theirs in zip(made, content, strict=True):
        total = total + (ours.float() - theirs.float()).square().mean(dim=(1, 2, 3))
    return total / len(made)


def pallor(made: Tensor, content: Tensor) -> Tensor:
    """Per image: by what share its contrast falls short of what can be seen; float32 [N], 0 to 1.

    Features tell the places of things however faint they are, and eyes and other networks do not. What can be
    seen is a standard deviation of 0.25 in [-1, 1], or half of the content's, if that is less.
    """
    deviation, wanted = _deviation(made), (0.5 * _deviation(content)).clamp(max=_VISIBLE)
    return F.relu(1.0 - deviation / wanted.clamp(min=1e-3))


def drawn_from(embeddings: Tensor, draws: Tensor) -> Tensor:
    """Float32 [M, D]: from the normal distribution with mean and covariance of [N, D], by normals [M, N].

    Gradients stop here.
    """
    given = embeddings.detach()
    mean = given.mean(dim=0)
    drawn: Tensor = mean + draws.to(given) @ (given - mean) / len(given) ** 0.5
    return drawn


def _deviation(images: Tensor) -> Tensor:
    """Over all places of each image and then over its channels; float32 [N], never 0."""
    variance: Tensor = images.float().var(dim=(2, 3), correction=0).mean(dim=1)
    return torch.sqrt(variance + 1e-6)


def _moments(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Means float32 [N, C] and covariances float32 [N, C, C] over all places."""
    rows = maps.flatten(2).float()
    mean = rows.mean(dim=2)
    centred = rows - mean[:, :, None]
    return mean, centred @ centred.mT / rows.shape[2]


def _similarities(maps: Tensor) -> Tensor:
    """Cosines float32 [N, P, P] between the features of places."""
    factor = 1
    while (maps.shape[2] // factor) * (maps.shape[3] // factor) > _MOST_PLACES:
        factor += 1
    pooled = F.avg_pool2d(maps.float(), factor) if factor > 1 else maps.float()
    rows = pooled.flatten(2)
    directions = F.normalize(rows - rows.mean(dim=2, keepdim=True), dim=1, eps=1e-4)
    return directions.mT @ directions
