"""What the ``style`` family learns by: losses, style images, and the features that both are told by."""

from __future__ import annotations

import urllib.error
from pathlib import Path

import pytest
import torch

from synth.artifacts import Store
from synth.data import load_images, open_source
from synth.errors import ConfigError, NotFoundError, SourceError, UsageError
from synth.home import weights_folder
from synth.models.program import ImageShape
from synth.training.normal import fit_normal
from synth.training.style_features import open_features, settle, teach
from synth.training.style_images import style_pieces
from synth.training.style_losses import (
    Units,
    drawn_from,
    feature_loss,
    moment_loss,
    pallor,
    similarity_loss,
)

WEIGHTS = Path("/work/shared/data/weights-features/efficientnet-lite0-57934424.pth")


@pytest.fixture(autouse=True)
def no_weights_here(tmp_path, monkeypatch):
    """Whatever networks this machine holds are not there."""
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr("synth.training.style_features._EFFICIENTNET_WHEEL", "no_such_wheel")


def maps(seed: int, sides: tuple[int, ...] = (8, 4)) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 6, side, side, generator=generator) for side in sides]


def test_a_style_is_what_is_seen_and_not_where():
    style, other = maps(0), maps(1)
    moved = [one.flatten(2)[:, :, torch.randperm(one[0, 0].numel())].reshape(one.shape) for one in style]
    torch.testing.assert_close(moment_loss(moved, style), torch.zeros(2), atol=1e-6, rtol=0)
    assert (moment_loss(other, style) > 0.01).all()
    assert (moment_loss([one + 1.0 for one in style], style) > 0.9).all()  # and how bright it is


def test_content_is_what_lies_where_in_whatever_colours():
    content = maps(0)
    inverted = [3.0 - 2.0 * one for one in content]
    torch.testing.assert_close(similarity_loss(inverted, content), torch.zeros(2), atol=1e-6, rtol=0)
    assert (feature_loss(inverted, content) > 1.0).all()
    moved = [one.roll(2, dims=3) for one in content]
    assert (similarity_loss(moved, content) > 0.1).all()


def test_units_make_the_channels_of_all_maps_alike():
    loud = [100.0 * one + 7.0 for one in maps(0)]
    loud[0][:, 3] = 5.0  # a channel that tells nothing
    scaled = Units.of(loud)(loud)
    assert torch.isfinite(scaled[0]).all()
    torch.testing.assert_close(scaled[1].std(dim=(0, 2, 3)), torch.ones(6))
    torch.testing.assert_close(scaled[1].mean(dim=(0, 2, 3)), torch.zeros(6), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("channels", "size"), [(1, (8, 8)), (3, (9, 13)), (3, (40, 24))])
def test_a_piece_of_a_picture_is_decided_by_its_key(channels, size):
    pictures = torch.randint(0, 256, (5, channels, 20, 30), dtype=torch.uint8)
    options = {"seed": 7, "stream": 1}
    whole = style_pieces(pictures, size, 0.5, position=torch.arange(40), **options)
    assert whole.shape == (40, channels, *size)
    assert whole.min() >= -1.0
    assert whole.max() <= 1.0
    part = style_pieces(pictures, size, 0.5, position=torch.arange(13, 16), **options)
    torch.testing.assert_close(part, whole[13:16], atol=1e-5, rtol=0)
    assert len(torch.unique(whole, dim=0)) == 40


def test_varied_pieces_are_dark_on_bright_too():
    picture = torch.zeros(1, 1, 16, 16, dtype=torch.uint8)
    picture[:, :, 6:10, 6:10] = 255
    position = torch.arange(200)
    plain = style_pieces(picture, (16, 16), 0.0, seed=0, position=position, stream=1)
    assert (plain.mean(dim=(1, 2, 3)) < 0.0).all()
    varied = style_pieces(picture, (16, 16), 1.0, seed=0, position=position, stream=1)
    inverted = (varied.mean(dim=(1, 2, 3)) > 0.0).float().mean()
    assert 0.35 < inverted < 0.65


def test_the_fitted_normal_is_that_of_many_points_and_a_round_one_of_few():
    torch.manual_seed(0)
    factor = torch.tensor([[2.0, 0.0], [1.0, 0.5]])
    points = torch.randn(20_000, 2) @ factor.T + torch.tensor([3.0, -1.0])
    many = fit_normal(points)
    torch.testing.assert_close(many.mean, torch.tensor([3.0, -1.0]), atol=0.05, rtol=0)
    torch.testing.assert_close(many.factor, factor, atol=0.06, rtol=0)
    assert many.shrinkage < 0.01
    few = fit_normal(torch.randn(3, 12))
    assert few.shrinkage > 0.1
    assert (few.factor.diagonal() > 0.05).all()  # also where three points do not reach


def test_without_any_weights_features_are_trained_on_the_images():
    assert settle("auto") == "trained"
    weights_folder().mkdir(parents=True)
    (weights_folder() / "efficientnet-lite0-57934424.pth").touch()
    assert settle("auto") == "efficientnet-lite0"
    (weights_folder() / "vgg16-397923af.pth").touch()
    assert settle("auto") == "vgg16"
    assert settle("trained") == "trained"


def test_features_that_do_not_exist_are_refused_with_those_that_do():
    with pytest.raises(
        NotFoundError, match=r"features = 'vgg61'.*vgg16.*efficientnet-lite0, trained.*no model"
    ):
        settle("vgg61")


def test_a_model_that_is_no_encoder_has_no_features(tiny, synth_home):
    tiny.untrained(Store(), "toys")
    with pytest.raises(UsageError, match=r"'toys' is a vae, and features come from an encoder"):
        settle("toys")


def test_weights_that_cannot_be_had_name_the_alternatives(monkeypatch):
    def offline(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", offline)
    with pytest.raises(SourceError, match=r"VGG-16.*no network.*efficientnet-lite0.*trained.*encoder"):
        open_features("vgg16", ImageShape(3, 32, 32))
    with pytest.raises(ConfigError, match=r"EfficientNet-Lite0 are not on this machine.*vgg16.*trained"):
        open_features("efficientnet-lite0", ImageShape(3, 32, 32))


@pytest.mark.parametrize(
    ("name", "file"),
    [
    ("vgg16", "vgg16-397923af.pth"), ("efficientnet-lite0", "efficientnet-lite0-57934424.pth")
])  # fmt: skip
def test_a_file_that_holds_other_weights_is_refused(name, file):
    weights_folder().mkdir(parents=True)
    torch.save({"features.0.weight": torch.zeros(3)}, weights_folder() / file)
    with pytest.raises(SourceError, match=r"does not hold the weights of"):
        open_features(name, ImageShape(3, 32, 32))


@pytest.mark.skipif(not WEIGHTS.exists(), reason=f"there is no {WEIGHTS}")
def test_known_weights_tell_pictures_apart_and_take_grey_ones():
    weights_folder().mkdir(parents=True)
    (weights_folder() / WEIGHTS.name).symlink_to(WEIGHTS)
    network = open_features("efficientnet-lite0", ImageShape(1, 28, 28))
    grey = torch.rand(2, 1, 28, 28) * 2 - 1
    found = network(grey)
    assert [one.shape[2] for one in found] == [28, 28, 14, 7, 4]
    torch.testing.assert_close(found, network(grey.expand(-1, 3, -1, -1)))


def test_taught_features_know_the_classes_of_the_content(tiny, tmp_path):
    content = load_images(open_source(tiny.source(tmp_path / "a.npz", count=60, classes=2)))
    styles = load_images(open_source(tiny.source(tmp_path / "b.npz", count=20, size=(16, 16), seed=1)))
    features = open_features("trained", ImageShape(1, 8, 8))
    images = content.images.float() / 127.5 - 1.0

    def told_apart() -> float:
        deep = features.encoder.pooled(images)
        means = torch.stack([deep[content.labels == label].mean(dim=0) for label in (0, 1)])
        return float((torch.cdist(deep, means).argmin(dim=1) == content.labels).float().mean())

    teach(features, content, styles, seed=0, images_seen=8_000)
    assert told_apart() > 0.95
    assert all(not weight.requires_grad for weight in features.parameters())


def test_an_image_that_is_too_pale_to_be_seen_has_lost_its_content():
    content = torch.rand(3, 1, 8, 8) * 2 - 1
    faint = torch.stack([content[0], 0.1 * content[1], torch.zeros(1, 8, 8)])
    lost = pallor(faint, content)
    assert lost[0] == 0.0
    assert 0.5 < lost[1] < lost[2]
    assert lost[2] > 0.99


def test_random_styles_of_a_step_are_like_the_others():
    torch.manual_seed(0)
    embeddings = (torch.randn(50, 3) * torch.tensor([1.0, 5.0, 0.1]) + 2.0).requires_grad_()
    drawn = drawn_from(embeddings, torch.randn(4_000, 50))
    assert not drawn.requires_grad
    torch.testing.assert_close(drawn.mean(dim=0), embeddings.mean(dim=0), atol=0.3, rtol=0.1)
    torch.testing.assert_close(drawn.std(dim=0), embeddings.std(dim=0), atol=0.0, rtol=0.1)
