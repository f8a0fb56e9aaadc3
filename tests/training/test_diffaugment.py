"""Differentiable augmentation."""

from __future__ import annotations

import pytest
import torch

from synth.training.diffaugment import augment


@pytest.fixture
def images() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(64, 3, 12, 16) * 2 - 1


def changed(images: torch.Tensor, share: float, first: int = 0) -> torch.Tensor:
    return augment(images, share, seed=3, position=torch.arange(first, first + len(images)), stream=7)


def test_nothing_changes_at_0_and_everything_at_1(images):
    assert torch.equal(changed(images, 0.0), images)
    assert ((changed(images, 1.0) - images).abs().amax(dim=(1, 2, 3)) > 0.01).all()
    some = (changed(images, 0.2) - images).abs().amax(dim=(1, 2, 3)) > 0.01
    assert 0.25 < some.float().mean() < 0.75  # 1 - 0.8 ** 3 is 0.49


def test_a_draw_belongs_to_its_position(images):
    whole = changed(images, 0.7)
    torch.testing.assert_close(changed(images[20:30], 0.7, first=20), whole[20:30])
    assert not torch.allclose(changed(images[20:30], 0.7, first=21), whole[20:30])


def test_gradients_reach_every_image(images):
    images.requires_grad_()
    changed(images, 1.0).square().sum().backward()
    assert images.grad.isfinite().all()
    assert (images.grad.abs().amax(dim=(1, 2, 3)) > 0).all()


def test_a_translation_moves_whole_pixels():
    dot = torch.zeros(200, 1, 16, 16)
    dot[:, :, 8, 8] = 1.0
    moved = augment(dot, 1.0, seed=0, position=torch.arange(200), stream=7)
    places = set()
    for image in moved[:, 0]:
        # The background, what was cut or moved in, and the dot: between pixels it would have four shades.
        values, counts = torch.unique((image * 1000).round(), return_counts=True)
        assert len(values) <= 3
        if counts.min() == 1:
            places.update(torch.nonzero((image * 1000).round() == values[counts.argmin()]).flatten().tolist())
    assert places == {6, 7, 8, 9, 10}
