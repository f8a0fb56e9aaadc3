from __future__ import annotations

import torch
from worth.few import mix

from synth.data import ImageSet


def images(count: int, value: int) -> ImageSet:
    pixels = torch.full((count, 1, 4, 4), value, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(count) % 2, ("",) * count, ("a", "b"), (), "")


def test_the_share_of_synthetic_images_is_what_was_asked_for() -> None:
    for share in (0.25, 0.5, 0.8):
        mixed = mix(images(20, 0), images(400, 255), share)
        assert abs(float((mixed.images[:, 0, 0, 0] == 255).float().mean()) - share) < 0.02
        assert len(mixed.labels) == len(mixed)
