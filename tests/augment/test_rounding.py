"""Attacked images are of whole levels: they stay in the ball, and what it allows is used."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from synth.augment.adversarial import ThreatModel, attack_keys, pgd

SHAPE = (2, 4, 5)


def pictures(low, high, count=6):
    draw = torch.Generator().manual_seed(2)
    return torch.randint(low, high, (count, *SHAPE), dtype=torch.uint8, generator=draw)


@settings(max_examples=60, deadline=None)
@given(
    eps=st.sampled_from([0.0, 1 / 255, 8 / 255, 0.013, 0.3, 1.0]) | st.floats(0, 3),
    norm=st.sampled_from(["linf", "l2"]),
    bounds=st.sampled_from([(0.0, 1.0), (0.1, 0.85)]),
    seed=st.integers(0, 2**32),
    spread=st.floats(0.001, 2),
)
def test_no_image_leaves_the_ball_or_the_bounds_by_rounding(eps, norm, bounds, seed, spread):
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(26, 217, (3, *SHAPE), dtype=torch.uint8, generator=draw)
    threat = ThreatModel(eps, norm=norm, bounds=bounds)
    pixels = threat.pixels(images) + spread * torch.randn(images.shape, generator=draw)
    for place in (pixels, threat.project(pixels, threat.pixels(images))):
        made = threat.images(place, images)
        change = (made.double() - images.double()).flatten(1)
        size = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
        assert (size <= eps * 255 + 1e-6).all()
        assert made.min() >= 255 * bounds[0] - 1e-9
        assert made.max() <= 255 * bounds[1] + 1e-9


@pytest.mark.parametrize("eps", [0.05, 0.01])
def test_rounding_gives_up_little_of_the_ball(eps):
    images = pictures(100, 150, 50)
    threat = ThreatModel(eps, norm="l2")  # 12.75 levels among 40 values, two for each; or less than a half
    far = threat.images(threat.pixels(images) + torch.randn(images.shape), images)
    sizes = (far.double() - images.double()).flatten(1).norm(dim=1)
    assert sizes.min() > 0.9 * (2 if eps == 0.01 else 12.75)
    assert (
        ThreatModel(8 / 255).images(torch.ones(6, *SHAPE), pictures(0, 100)).sub(pictures(0, 100)).eq(8).all()
    )


def test_restarts_are_judged_by_the_image_that_is_made_of_them():
    class Narrow(nn.Module):
        """Errs much between two levels, and a little further away."""

        def forward(self, inputs):
            place = inputs.flatten(1)[:, 0] * 127.5 + 127.5
            between = torch.sin(torch.pi * place).square() - 0.5
            score = torch.where(place < 103.4, 0.1, between)
            return torch.stack([torch.zeros_like(score), score], dim=1)

    images = torch.full((30, 1, 1, 1), 108, dtype=torch.uint8)
    threat = ThreatModel(6 / 255)
    labels, keys = torch.zeros(30, dtype=torch.int64), attack_keys(1, torch.arange(30))

    def fooled(**more):
        found = pgd(
            Narrow(), threat.pixels(images), labels, threat, steps=1, step_size=1e-5, keys=keys, **more
        )
        return Narrow()(threat.inputs(threat.pixels(threat.images(found, images)))).argmax(1) != labels

    assert fooled(restarts=20).sum() < 20 < fooled(restarts=20, originals=images).sum()
