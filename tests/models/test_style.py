"""The networks of the ``style`` family, and how styles are drawn, mixed and blended."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from synth.errors import UsageError
from synth.models import style
from synth.models.program import ImageShape
from synth.models.style import ConditionalNorm, StyleNetwork, StyleProgram
from synth.models.style_weights import picture_weights
from synth.sampling.noise import draw_noise
from synth.sampling.prepare import cast

CONFIG = {"predictor": [4, 8], "widths": [4, 6, 8], "blocks": 1, "embedding": 5}
VALUES = {"strength": 1.0, "spread": 1.0, "style": None, "mix": ""}


def network(channels: int = 1) -> StyleNetwork:
    torch.manual_seed(0)
    return StyleNetwork(CONFIG, ImageShape(channels, 16, 16)).requires_grad_(False).eval()


def run(program: StyleProgram, images: Tensor, index: Tensor, **values) -> Tensor:
    values = {**VALUES, **values}
    state = program.begin_from(images, draw_noise(program.noise, 3, index), None, values)
    return program.image(program.step(0, state, None, values))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 16), (24, 40), (64, 8)])
def test_images_of_any_size_keep_it(channels, size):
    images = torch.rand(2, channels, *size) * 2 - 1
    made = run(StyleProgram(network(channels)), images, torch.arange(2))
    assert made.shape == images.shape
    assert made.abs().max() <= 1.0


def test_each_image_of_a_batch_has_a_style_of_its_own_which_its_key_decides():
    program = StyleProgram(network())
    image = torch.rand(1, 1, 16, 16) * 2 - 1
    made = run(program, image.expand(6, -1, -1, -1), torch.arange(6))
    distances = torch.cdist(made.flatten(1), made.flatten(1)) + 9.0 * torch.eye(6)
    assert distances.min() > 0.01
    alone = run(program, image, torch.tensor([4]))
    torch.testing.assert_close(alone[0], made[4], atol=1e-5, rtol=0)


def test_strength_leads_from_the_own_style_to_the_other_one():
    program = StyleProgram(network())
    images = torch.rand(3, 1, 16, 16) * 2 - 1
    own = program.network.predictor(images)
    given = torch.randn(1, 5).expand(3, -1)
    for strength in (0.0, 0.25, 1.0):
        values = {**VALUES, "strength": strength, "style": given}
        found = program.begin_from(images, draw_noise(program.noise, 0, torch.arange(3)), None, values)
        torch.testing.assert_close(found["style"], strength * given + (1 - strength) * own)
    kept = run(program, images, torch.arange(3), strength=0.0)
    torch.testing.assert_close(kept, program.network(images, own))


def test_no_spread_is_the_mean_style():
    program = StyleProgram(network())
    program.network.distribution.mean.copy_(torch.arange(5.0))
    images = torch.zeros(2, 1, 16, 16)
    noise = draw_noise(program.noise, 0, torch.arange(2))
    state = program.begin_from(images, noise, None, {**VALUES, "spread": 0.0})
    assert torch.equal(state["style"], torch.arange(5.0).expand(2, -1))


def test_pictures_of_any_size_give_a_style_and_mix_weighs_them():
    program = StyleProgram(network(3))
    pictures = [torch.rand(1, 3, *size) * 2 - 1 for size in ((16, 16), (9, 31))]
    first, second = (program.style_from([picture], VALUES) for picture in pictures)
    assert not torch.allclose(first, second)
    torch.testing.assert_close(program.style_from(pictures, VALUES), (first + second) / 2)
    mixed = program.style_from(pictures, {**VALUES, "mix": "3, 1"})
    torch.testing.assert_close(mixed, 0.75 * first + 0.25 * second)


@pytest.mark.parametrize("mix", ["1", "1,2,3", "1,-1", "0,0", "a,b", "1,nan", "inf,1"])
def test_a_mix_that_does_not_fit_the_pictures_is_refused(mix):
    with pytest.raises(UsageError, match=r"mix must give a share from 0 for each of the 2 pictures, as 1,1"):
        picture_weights(mix, 2)


def test_a_reduced_precision_keeps_styles_exact():
    reduced = network()
    cast(reduced, torch.bfloat16)
    images = (torch.rand(2, 1, 16, 16) * 2 - 1).bfloat16()
    program = StyleProgram(reduced)
    assert program.network.predictor(images).dtype == torch.float32
    styles = program.network.distribution(torch.randn(2, 5))
    assert styles.dtype == torch.float32
    made = run(program, images, torch.arange(2))
    whole = run(StyleProgram(network()), images.float(), torch.arange(2))
    assert (made.float() - whole).abs().mean() < 0.03


def test_the_context_is_as_far_as_an_output_pixel_looks(monkeypatch):
    def plain(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return x

    monkeypatch.setattr(style.ConditionalNorm, "forward", plain)  # its statistics are of the whole map
    monkeypatch.setattr(style.F, "relu", lambda x: x)
    one = network()
    content = torch.zeros(1, 1, 8, 160, requires_grad=True)
    one(content, torch.zeros(1, 5))[0, 0, 4, 80].backward()
    seen = content.grad[0, 0].abs().sum(dim=0).nonzero().flatten()
    reach = max(80 - int(seen.min()), int(seen.max()) - 80)
    assert one.context - 2 * one.multiple <= reach <= one.context


def test_an_image_too_small_for_the_network_is_refused():
    with pytest.raises(ValueError, match=r"halve the image 2 times.*at least 8 pixels; use fewer widths"):
        StyleNetwork(CONFIG, ImageShape(1, 7, 32))


@pytest.mark.parametrize(("mean", "deviation"), [(1.0, 0.02), (4.0, 0.1)])
def test_nearly_flat_maps_are_normalised_in_bfloat16_as_in_float32(mean, deviation):
    maps = (mean + deviation * torch.randn(4, 8, 16, 16)).bfloat16()
    scale, shift = torch.full((4, 8), 2.0), torch.full((4, 8), 0.5)
    expected = 2.0 * torch.nn.functional.instance_norm(maps.float()) + 0.5
    torch.testing.assert_close(ConditionalNorm()(maps, scale, shift).float(), expected, atol=0.03, rtol=0.01)
