from __future__ import annotations

import torch

from synth.evaluation.classical import augment_classically


def squares(count: int, channels: int = 1) -> torch.Tensor:
    images = torch.full((count, channels, 16, 12), -1.0)
    images[:, :, 4:10, 2:6] = 1.0
    return images


def test_an_image_is_changed_by_its_key_alone():
    images = squares(40, 3)
    index = torch.arange(40)
    whole = augment_classically(images, 7, index)
    assert whole.shape == images.shape
    assert torch.equal(whole[25:31], augment_classically(images[25:31], 7, index[25:31]))
    assert not torch.equal(whole, augment_classically(images, 8, index))
    assert not torch.equal(whole[0], whole[1])


def test_values_stay_in_range_and_most_of_the_picture_stays():
    images = squares(200)
    changed = augment_classically(images, 0, torch.arange(200))
    assert changed.isfinite().all()
    assert changed.min() >= -1.0 - 1e-5
    assert changed.max() <= 1.0 + 1e-5
    assert (changed - images).abs().mean() < 0.5
    assert ((changed - images).abs().amax(dim=(1, 2, 3)) > 0.1).float().mean() > 0.95


def test_half_are_mirrored_unless_that_is_forbidden():
    images = torch.full((400, 1, 16, 16), -1.0)
    images[..., :5] = 1.0  # bright on the left

    def bright_on_the_right(changed: torch.Tensor) -> float:
        return float(
            (changed[..., 10:].mean(dim=(1, 2, 3)) > changed[..., :6].mean(dim=(1, 2, 3))).float().mean()
        )

    index = torch.arange(400)
    assert 0.4 < bright_on_the_right(augment_classically(images, 1, index)) < 0.6
    assert bright_on_the_right(augment_classically(images, 1, index, flip=False)) < 0.02


def test_a_quarter_lose_a_rectangle():
    line = torch.linspace(-1, 1, 32)
    ramp = (0.6 * line + 0.4 * line[:, None]).expand(400, 1, 32, 32).contiguous()
    changed = augment_classically(ramp, 3, torch.arange(400), flip=False)[:, 0, 5:-5, 5:-5]
    # Where the border is repeated the ramp still rises one way; where a rectangle is erased, neither.
    flat = (changed.diff(dim=2).abs()[:, 1:] < 1e-6) & (changed.diff(dim=1).abs()[:, :, 1:] < 1e-6)
    assert 0.15 < (flat.float().mean(dim=(1, 2)) > 0.01).float().mean() < 0.4
