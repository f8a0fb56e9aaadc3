"""From what the user wrote to features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from synth.artifacts import Store
from synth.errors import ArtifactError, ConfigError, NotFoundError, SourceError, UsageError
from synth.evaluation import open_extractor
from synth.evaluation.preprocessing import EFFICIENTNET_LITE0, Preprocessing
from synth.models.dinov2 import DINOv2
from synth.models.efficientnet import EfficientNetLite0, SameConv


def images(count: int = 3, shape: tuple[int, int, int] = (1, 8, 8)) -> torch.Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
    return torch.from_numpy(pixels)


@pytest.fixture
def encoder(tiny, tmp_path):
    return tiny.fit(tiny.source(tmp_path / "toys.npz"), family="encoder")


def underscored(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """As the published file names its weights, with the classifier."""
    names = {
        name: ".".join(part if part.isdecimal() or place == last else f"_{part}" for place, part in parts)
        for name in network.state_dict()
        for parts, last in [(list(enumerate(name.split("."))), name.count("."))]
    }
    weights = {names[name]: tensor for name, tensor in network.state_dict().items()}
    return {**weights, "_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}


def test_an_encoder_is_opened_by_name_version_and_path_with_one_digest(encoder):
    specs = ("toy", "toy@1", encoder.path, str(encoder.path))
    opened = [open_extractor(spec, device="cpu") for spec in specs]
    assert len({one.digest for one in opened}) == 1
    assert opened[0].name == "encoder toy@1"
    assert opened[0].dimensions == 8
    features = opened[0].features(images())
    assert (features.shape, features.dtype) == ((3, 8), torch.float32)
    assert opened[0].features(images()[:0]).shape == (0, 8)


def test_features_do_not_depend_on_the_other_images(encoder):
    extractor = open_extractor("toy", device="cpu")
    many = images(600)
    torch.testing.assert_close(extractor.features(many)[500:503], extractor.features(many[500:503]))


def test_images_of_another_shape_are_refused_with_both_shapes(encoder):
    extractor = open_extractor("toy", device="cpu")
    with pytest.raises(SourceError, match=r"toy@1 takes images of 8 x 8, grey, and these are 9 x 8, RGB"):
        extractor.features(images(2, (3, 9, 8)))
    with pytest.raises(SourceError, match=r"takes uint8 images .* not torch\.float32"):
        extractor.features(images().float())
    with pytest.raises(SourceError, match=r"not torch\.uint8 \[1, 8, 8\]"):
        extractor.features(images()[0])


def test_a_generator_is_no_extractor(tiny):
    tiny.untrained(Store())
    with pytest.raises(UsageError, match=r"toys@1 is a vae, which has no features.*synth train encoder"):
        open_extractor("toys")


def test_a_damaged_encoder_is_refused(encoder):
    weights = encoder.path / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ArtifactError, match="is damaged"):
        open_extractor("toy")


def test_the_random_network_is_the_same_everywhere_and_takes_every_shape():
    extractor = open_extractor("random", device="cpu")
    assert extractor.digest == open_extractor("random", device="cpu").digest
    for shape in [(1, 8, 8), (3, 40, 20)]:
        features = extractor.features(images(4, shape))
        assert features.shape == (4, extractor.dimensions)
        assert len(torch.unique(features, dim=0)) == 4
    grey = images(2)
    torch.testing.assert_close(extractor.features(grey), extractor.features(grey.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("nothing", NotFoundError, "There is no model 'nothing'"),
        ("inception", ConfigError, "Say where the weights of inception lie: inception:PATH"),
        ("dinov2:", ConfigError, "dinov2:PATH. Nothing is downloaded"),
        ("dino:/a/file", ConfigError, r"no extractor 'dino'.*efficientnet-lite0:PATH"),
        ("dinov2:/not/there.pth", NotFoundError, r"There is no file /not/there\.pth"),
    ],
)
def test_what_is_no_extractor_is_told_with_what_there_is(spec, error, message):
    with pytest.raises(error, match=message):
        open_extractor(spec, device="cpu")


@pytest.mark.parametrize("form", ["pth", "safetensors", "wrapped"])
def test_efficientnet_is_read_from_a_local_file_whatever_its_form(tmp_path, form):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = EfficientNetLite0().eval()
    weights = underscored(network)
    path = tmp_path / f"weights.{'safetensors' if form == 'safetensors' else 'pth'}"
    if form == "safetensors":
        save_file(weights, path)
    else:
        wrapped = {"state_dict": {f"module.{name}": weight for name, weight in weights.items()}}
        torch.save(wrapped if form == "wrapped" else weights, path)
    extractor = open_extractor(f"efficientnet-lite0:{path}", device="cpu")
    assert (extractor.name, extractor.distance) == ("efficientnet-lite0", "fd_efflite0")
    shown = images(2, (1, 28, 28))
    with torch.inference_mode():
        expected = network(EFFICIENTNET_LITE0(shown))
    torch.testing.assert_close(extractor.features(shown), expected, rtol=1e-3, atol=1e-5)
    other = tmp_path / "other.pth"
    torch.save({**weights, "_bn1.bias": weights["_bn1.bias"] + 1}, other)
    assert open_extractor(f"efficientnet-lite0:{other}", device="cpu").digest != extractor.digest


def test_dinov2_is_read_from_a_local_file_with_registers_and_without(tmp_path):
    for registers in (0, 4):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = DINOv2(64, 2, 37 * 37, registers).eval()
            for weight in network.parameters():
                torch.nn.init.normal_(weight, std=0.2)
        torch.save(network.state_dict(), tmp_path / "dino.pth")
        extractor = open_extractor(f"dinov2:{tmp_path / 'dino.pth'}", device="cpu")
        assert (extractor.dimensions, extractor.distance) == (64, "fd_dinov2")
        features = extractor.features(images(2, (3, 20, 30)))
        assert features.isfinite().all()
        assert not torch.equal(features[0], features[1])


@pytest.mark.slow
def test_inception_is_read_from_a_local_file(tmp_path):
    from torchvision.models import inception_v3

    network = inception_v3(weights=None, init_weights=False)
    torch.save(network.state_dict(), tmp_path / "inception.pth")
    extractor = open_extractor(f"inception:{tmp_path / 'inception.pth'}", device="cpu")
    assert (extractor.dimensions, extractor.distance) == (2048, "fd_inception")
    assert extractor.features(images(1)).shape == (1, 2048)


def test_files_that_hold_other_weights_are_refused_by_name(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(DINOv2(64, 1, 16, 0).state_dict(), path)
    with pytest.raises(
        SourceError, match=r"weights\.pth does not hold .*EfficientNet-Lite0 \(missing: conv_"
    ):
        open_extractor(f"efficientnet-lite0:{path}", device="cpu")
    with pytest.raises(SourceError, match=r"does not hold .* torchvision's inception_v3 .*fc\.weight"):
        open_extractor(f"inception:{path}", device="cpu")
    torch.save({"fc.weight": torch.zeros(1008, 2048)}, path)
    with pytest.raises(SourceError, match=r"TensorFlow's weights, which pool differently"):
        open_extractor(f"inception:{path}", device="cpu")
    with pytest.raises(SourceError, match=r"a DINOv2 of size S, B or L .*cls_token"):
        open_extractor(f"dinov2:{path}", device="cpu")
    broken = DINOv2(64, 1, 16, 0).state_dict()
    broken["norm.bias"] = torch.full((64,), float("nan"))
    torch.save(broken, path)
    with pytest.raises(SourceError, match="NaN or infinite"):
        open_extractor(f"dinov2:{path}", device="cpu")


class Bomb:
    """Unpickled, it would make a folder."""

    def __reduce__(self):
        import os

        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights", "code", {"lr": 0.1}, torch.zeros(3)])
def test_files_that_hold_no_weights_are_refused_and_never_run(tmp_path, monkeypatch, name, content):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save({"a": Bomb()} if content == "code" else content, path)
    with pytest.raises(SourceError, match=rf"{name} (is neither|holds)"):
        open_extractor(f"dinov2:{path}", device="cpu")
    assert not (tmp_path / "exploded").exists()


def test_same_padding_is_tensorflows():
    with torch.inference_mode():
        conv = SameConv(1, 1, 3, 2)
        conv.weight.fill_(1.0)
        # Of 4 pixels in steps of 2, nothing is padded before and one pixel after.
        assert conv(torch.ones(1, 1, 4, 4))[0, 0].tolist() == [[9.0, 6.0], [6.0, 4.0]]
        assert conv(torch.ones(1, 1, 5, 5)).shape == (1, 1, 3, 3)


def test_preprocessing_centres_levels_and_repeats_grey():
    prepare = Preprocessing(4, "bicubic", (100.0, 100.0, 50.0), (10.0, 10.0, 50.0))
    made = prepare(torch.full((2, 1, 9, 7), 150, dtype=torch.uint8))
    assert made.shape == (2, 3, 4, 4)
    torch.testing.assert_close(made[0, :, 0, 0], torch.tensor([5.0, 5.0, 2.0]))
