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


def test_values_stay_in_range_and_most_of_the_picture_stays():
    images = squares(400)
    changed = augment_classically(images, 0, torch.arange(400))
    assert changed.isfinite().all()
    assert changed.min() >= -1.0 - 1e-5
    assert changed.max() <= 1.0 + 1e-5
    assert (changed - images).abs().mean() < 0.1


def test_more_than_half_of_the_draws_leave_an_image_as_it_is_and_many_do_not():
    images = squares(1_000) + 0.2 * torch.rand(1_000, 1, 16, 12, generator=torch.Generator().manual_seed(0))
    changed = augment_classically(images, 5, torch.arange(1_000))
    whole = (changed == images).all(dim=(1, 2, 3)).float().mean()
    assert 0.5 < whole < 0.8


def test_a_tenth_are_mirrored_unless_that_is_forbidden():
    images = torch.full((1_000, 1, 16, 16), -1.0)
    images[..., :5] = 1.0  # bright on the left

    def bright_on_the_right(changed: torch.Tensor) -> float:
        left, right = (part.mean(dim=(1, 2, 3)) for part in (changed[..., :6], changed[..., 10:]))
        return float((right > left).float().mean())

    index = torch.arange(1_000)
    assert 0.06 < bright_on_the_right(augment_classically(images, 1, index)) < 0.14
    assert bright_on_the_right(augment_classically(images, 1, index, flip=False)) == 0.0


def test_a_shift_is_of_a_fourteenth_of_the_side_at_most():
    images = torch.full((1_000, 1, 28, 28), -1.0)
    images[..., 12:16, 12:16] = 1.0
    changed = augment_classically(images, 2, torch.arange(1_000)) > 0.0
    outside = changed.clone()
    outside[..., 9:19, 9:19] = False  # 2 by the shift, 1 by the crop and what rounds
    assert not outside.any()
    assert changed[..., :12, :].any()
    assert changed[..., 16:, :].any()


def test_a_tenth_lose_a_rectangle():
    line = torch.linspace(-1, 1, 32)
    ramp = (0.6 * line + 0.4 * line[:, None]).expand(1_000, 1, 32, 32).contiguous()
    changed = augment_classically(ramp, 3, torch.arange(1_000), flip=False)[:, 0, 5:-5, 5:-5]
    # Where the border is repeated the ramp still rises one way; where a rectangle is erased, neither.
    flat = (changed.diff(dim=2).abs()[:, 1:] < 1e-6) & (changed.diff(dim=1).abs()[:, :, 1:] < 1e-6)
    assert 0.05 < (flat.float().mean(dim=(1, 2)) > 0.005).float().mean() < 0.13
