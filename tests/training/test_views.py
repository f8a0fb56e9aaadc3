from __future__ import annotations

import pytest
import torch

from synth.training.views import Views, random_view

STILL = {
    "crop": 1.0, "aspect": 1.0, "rotation": 0.0, "flip": 0.0, "brightness": 0.0, "contrast": 0.0,
    "colour": 0.0, "blur": 0.0, "noise": 0.0, "erase": 0.0,
}  # fmt: skip
EACH = {
    "crop": 0.3, "rotation": 45.0, "flip": 1.0, "brightness": 0.5, "contrast": 0.5, "blur": 1.0,
    "noise": 0.5, "erase": 1.0,
}  # fmt: skip


def still(**changes) -> Views:
    return Views.model_construct(**{**STILL, **changes})


@pytest.fixture(params=[(1, 12, 12), (3, 9, 13)], ids=["grey", "colour, non-square"])
def images(request) -> torch.Tensor:
    shape = (6, *request.param)
    return torch.linspace(-1, 1, torch.Size(shape).numel()).reshape(shape).sin()


def test_without_any_change_a_view_is_its_image(images):
    seen = random_view(images, still(), seed=0, position=torch.arange(6), view=0)
    torch.testing.assert_close(seen, images, atol=1e-5, rtol=0)


def test_a_mirrored_view_is_the_mirror_image(images):
    seen = random_view(images, still(flip=1.0), seed=0, position=torch.arange(6), view=0)
    torch.testing.assert_close(seen, images.flip(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("change", EACH)
def test_each_setting_changes_views_by_itself_and_differently_for_each_image(images, change):
    one = images[:1].expand(6, -1, -1, -1)
    seen = random_view(one, still(**{change: EACH[change]}), seed=0, position=torch.arange(6), view=0)
    assert seen.shape == images.shape
    assert seen.isfinite().all()
    assert not torch.equal(seen, one)
    if change != "flip":
        assert len(torch.unique(seen.flatten(1), dim=0)) == 6


def test_saturation_is_of_colour_images_alone():
    image = torch.zeros(2, 3, 8, 8)
    image[:, 0] = 0.5
    seen = random_view(image, still(colour=1.0), seed=0, position=torch.arange(2), view=0)
    torch.testing.assert_close(seen.mean(dim=1), image.mean(dim=1))
    assert not torch.equal(seen, image)


def test_a_view_depends_on_seed_position_and_number_alone(images):
    settings = Views(blur=0.5, noise=0.1)
    whole = random_view(images, settings, seed=3, position=torch.arange(6) + 40, view=1)
    part = random_view(images[2:4], settings, seed=3, position=torch.tensor([42, 43]), view=1)
    torch.testing.assert_close(part, whole[2:4], atol=1e-6, rtol=0)
    for changed in ({"seed": 4}, {"view": 0}, {"position": torch.arange(6)}):
        key = {"seed": 3, "position": torch.arange(6) + 40, "view": 1, **changed}
        assert not torch.equal(random_view(images, settings, **key), whole)


def test_a_quarter_turn_of_a_square_is_that_of_its_pixels():
    image = torch.arange(36.0).reshape(1, 1, 6, 6) / 36
    # The angle of this key, found from what a full range of 180 degrees does to it.
    position = torch.arange(400)
    turned = random_view(
        image.expand(400, -1, -1, -1), still(rotation=180.0), seed=0, position=position, view=0
    )
    nearest = min(float((one - torch.rot90(image[0], 1, (1, 2))).abs().mean()) for one in turned)
    assert nearest < 0.02
