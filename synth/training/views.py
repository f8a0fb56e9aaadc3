"""Random views of images: the changes that an encoder learns to look through.

Every number is keyed by (seed, position of the image in the run, view), so that a resumed training draws what
an uninterrupted one would have drawn. A whole batch is changed at once: one resampling for crop, aspect,
rotation and flip together, and a few arithmetic operations for the rest.
"""

from __future__ import annotations

import math

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from synth.randomness import normals, stream_id, uniforms

_DRAWS = 20
"""Uniform numbers of one view; each has its place, so that a new one changes none of the others."""


class Views(BaseModel):
    """How far views may differ from their image. The defaults keep what tells clothes or digits apart.

    Blur and noise are off: an encoder that looks through them would not see them in generated images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    crop: float = Field(0.4, gt=0, le=1, description="Least share of the area that a view shows.")
    aspect: float = Field(1.25, ge=1, le=4, description="Most by which a view is stretched.")
    rotation: float = Field(8.0, ge=0, le=180, description="Most degrees by which a view is turned.")
    flip: float = Field(0.5, ge=0, le=1, description="Share of views that are mirrored left to right.")
    brightness: float = Field(0.2, ge=0, le=1, description="Most by which the brightness is moved, of 1.")
    contrast: float = Field(0.4, ge=0, lt=1, description="Most by which the contrast is changed, of 1.")
    colour: float = Field(0.3, ge=0, le=1, description="RGB only: most by which the saturation is changed.")
    blur: float = Field(0.0, ge=0, le=1, description="Share of views that are blurred.")
    noise: float = Field(0.0, ge=0, le=1, description="Most standard deviation of added noise, of 1.")
    erase: float = Field(0.25, ge=0, le=1, description="Share of views in which a rectangle is erased.")

    @model_validator(mode="after")
    def _differ(self) -> Views:
        if not any((1.0 - self.crop, self.rotation, self.brightness, self.contrast, self.noise, self.erase)):
            raise ValueError("views need some crop, rotation, brightness, contrast, noise or erase to differ")
        return self


def random_view(images: Tensor, settings: Views, *, seed: int, position: Tensor, view: int) -> Tensor:
    """One view of each image: float32 of the same shape.

    Args:
        images: float32 [N, C, H, W] in [-1, 1].
        seed: of the training.
        position: int64 [N], place of each image in the run.
        view: number of the view, 0 or 1 where two are compared.
    """
    draws = uniforms(seed, position, stream_id(f"training/view/{view}"), _DRAWS)
    centred = 2.0 * draws - 1.0
    seen = _resample(images, settings, draws, centred)
    if settings.blur:
        seen = _blur(seen, draws[:, 8] < settings.blur, draws[:, 9])
    seen = _light(seen, settings, centred)
    if settings.noise:
        stream = stream_id(f"training/view/{view}/noise")
        grain = normals(seed, position, stream, images[0].numel()).reshape(images.shape)
        seen = seen + 2.0 * settings.noise * _column(draws[:, 10]) * grain
    if settings.erase:
        seen = _erase(seen, draws[:, 11] < settings.erase, draws[:, 16:20])
    return seen


def _resample(images: Tensor, settings: Views, draws: Tensor, centred: Tensor) -> Tensor:
    """A crop of random area, aspect, place and angle, mirrored or not, enlarged to the whole."""
    height, width = images.shape[2:]
    side = torch.sqrt(settings.crop + (1.0 - settings.crop) * draws[:, 0])
    stretch = settings.aspect ** (0.5 * centred[:, 1])
    wide, high = (side * stretch).clamp(max=1.0), (side / stretch).clamp(max=1.0)
    mirror = torch.where(draws[:, 5] < settings.flip, -1.0, 1.0)
    angle = math.radians(settings.rotation) * centred[:, 4]
    cosine, sine = torch.cos(angle), torch.sin(angle)
    # Pixels are square, the coordinates of grid_sample are not: both axes run from -1 to 1.
    aspect = height / width
    rows = torch.stack(
        [
            torch.stack([wide * cosine * mirror, -high * sine * aspect, (1.0 - wide) * centred[:, 2]], dim=1),
            torch.stack([wide * sine * mirror / aspect, high * cosine, (1.0 - high) * centred[:, 3]], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(rows, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _light(seen: Tensor, settings: Views, centred: Tensor) -> Tensor:
    """Contrast about the view's mean, brightness, and in RGB the distance from grey."""
    if settings.colour and seen.shape[1] == 3:
        grey = seen.mean(dim=1, keepdim=True)
        seen = grey + (seen - grey) * _column(1.0 + settings.colour * centred[:, 6])
    mean = seen.mean(dim=(1, 2, 3), keepdim=True)
    stretched = (seen - mean) * _column(1.0 + settings.contrast * centred[:, 7])
    return mean + stretched + 2.0 * settings.brightness * _column(centred[:, 12])


def _blur(seen: Tensor, chosen: Tensor, strength: Tensor) -> Tensor:
    """Towards the binomial mean of 5 x 5 pixels, by ``strength`` of 0 to 1."""
    taps = seen.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
    channels = seen.shape[1]
    padded = F.pad(seen, (2, 2, 2, 2), mode="replicate")
    smooth = F.conv2d(padded, taps.reshape(1, 1, 1, 5).expand(channels, 1, 1, 5), groups=channels)
    smooth = F.conv2d(smooth, taps.reshape(1, 1, 5, 1).expand(channels, 1, 5, 1), groups=channels)
    return torch.lerp(seen, smooth, _column(chosen * strength))


def _erase(seen: Tensor, chosen: Tensor, draws: Tensor) -> Tensor:
    """The view's mean in a rectangle of a fifth to half of each side."""
    height, width = seen.shape[2:]
    inside = None
    for size, extent, place, shape in (
        (height, draws[:, 0], draws[:, 1], (1, 1, -1, 1)),
        (width, draws[:, 2], draws[:, 3], (1, 1, 1, -1)),
    ):
        length = _column(0.2 + 0.3 * extent) * size
        start = _column(place) * (size - length)
        at = torch.arange(size, device=seen.device).reshape(shape) + 0.5
        within = (at >= start) & (at < start + length)
        inside = within if inside is None else inside & within
    assert inside is not None
    return torch.where(inside & _column(chosen), seen.mean(dim=(1, 2, 3), keepdim=True), seen)


def _column(values: Tensor) -> Tensor:
    return values.reshape(-1, 1, 1, 1)
