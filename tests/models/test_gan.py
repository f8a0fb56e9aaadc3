"""Generator and discriminator."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from synth.models.gan import Discriminator, GANProgram, Generator
from synth.models.program import ImageShape

CONFIG = {"widths": [8, 16], "blocks": 2, "expansion": 2, "group_width": 8, "patch": 2, "latent": 4}


def randomised(network: nn.Module) -> nn.Module:
    """Without the zeros that blocks start with, which would hide them."""
    torch.manual_seed(0)
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.2)
    return network


def penalty_gradients(gradient: Tensor, network: nn.Module) -> list[Tensor]:
    weights = list(network.parameters())
    found = torch.autograd.grad(gradient.square().sum(), weights, allow_unused=True)
    return [
        torch.zeros_like(weight) if one is None else one for one, weight in zip(found, weights, strict=True)
    ]


@pytest.mark.parametrize(("shape", "classes"), [((3, 9, 13), 3), ((1, 12, 8), 0)])
@pytest.mark.parametrize("patch", [1, 2])
def test_the_written_out_gradient_is_that_of_autograd_and_so_is_its_own(shape, classes, patch):
    network = randomised(Discriminator({**CONFIG, "patch": patch}, ImageShape(*shape), classes))
    images = torch.randn(5, *shape, requires_grad=True)
    labels = torch.arange(5) % classes if classes else None
    expected_scores = network(images, labels)
    (expected,) = torch.autograd.grad(expected_scores.sum(), images, create_graph=True)
    scores, gradient = network.with_gradient(images, labels)
    torch.testing.assert_close(scores, expected_scores)
    torch.testing.assert_close(gradient, expected)
    ours, theirs = penalty_gradients(gradient, network), penalty_gradients(expected, network)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_a_class_changes_images_and_scores():
    image = ImageShape(1, 8, 8)
    generator, judge = Generator(CONFIG, image, 2), Discriminator(CONFIG, image, 2)
    z, labels = torch.randn(1, 4).expand(2, -1), torch.tensor([0, 1])
    made = generator(z, labels)
    assert not torch.allclose(made[0], made[1])
    first, second = judge(made[:1].expand(2, -1, -1, -1), labels)
    assert not torch.isclose(first, second)


@torch.no_grad()
def test_truncation_scales_the_latent():
    program = GANProgram(Generator(CONFIG, ImageShape(3, 9, 13), 0))
    noise = {"latent": torch.randn(4, 4)}

    def images(truncation: float) -> Tensor:
        parameters = {"truncation": truncation}
        state = program.begin(noise, None, parameters)
        return program.image(program.step(0, state, None, parameters))

    typical = images(0.0)
    assert torch.equal(typical, typical[:1].expand_as(typical))
    spread = [float((images(truncation) - typical).square().mean()) for truncation in (0.3, 0.6)]
    assert 0.0 < spread[0] < spread[1]
    assert images(1.0).shape == (4, 3, 9, 13)
    assert images(2.0).abs().max() <= 1.0


def test_an_image_too_small_for_the_network_is_refused_with_what_fits():
    config = {**CONFIG, "widths": [8, 8, 8, 8]}
    with pytest.raises(ValueError, match=r"at least 16 pixels.*at most 3 widths.*--size 16"):
        Generator(config, ImageShape(1, 8, 12), 0)
    Generator({**CONFIG, "widths": [8, 8, 8]}, ImageShape(1, 8, 12), 0)
