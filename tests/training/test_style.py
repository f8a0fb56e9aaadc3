"""Training of the ``style`` family: what it asks of a collection, and what becomes of images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from synth.artifacts import Store
from synth.data import load_images, open_source
from synth.errors import ConfigError, NotFoundError, SourceError, UsageError
from synth.sampling import Sampler
from synth.training.recipe import resolve_recipe
from synth.training.runs import latest_run
from synth.training.style_judge import preserved


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """A model of grey images in two classes, of styles from five larger pictures."""
    folder = tmp_path_factory.mktemp("style")
    source = tiny.source(folder / "toys.npz", size=(12, 16))
    pictures = tiny.source(folder / "pictures.npz", count=5, size=(40, 30), classes=0, seed=3)
    recipe = tiny.recipe("style", images_seen=320)
    return tiny.fit(source, family="style", target=pictures, recipe=recipe, store=Store(folder / "s"))


def images_of(trained) -> torch.Tensor:
    return load_images(open_source(trained.manifest.training.source)).images


class Restyled(Dataset):
    """Images as a classifier's training loads them, in random styles; the worker opens the model."""

    def __init__(self, path, images: torch.Tensor) -> None:
        self.path, self.images = path, images
        self._sampler: Sampler | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> torch.Tensor:
        if self._sampler is None:
            self._sampler = Sampler.open(self.path, device="cpu", precision="32", warmup_seconds=0)
        return self._sampler.translate(self.images[row : row + 1], seed=5, start=row).images[0]


def test_a_few_pictures_of_another_size_are_a_collection(trained):
    """Pieces are taken of them: neither size nor number is that of a batch."""
    training = trained.manifest.training
    assert 2 <= training.target.images <= 5
    assert trained.card.image.height == 12
    assert trained.manifest.recipe["batch_size"] == 16
    assert trained.card.classes is None


def test_the_manifest_tells_features_styles_and_what_labels_survive(trained):
    assert trained.manifest.recipe["features"] == "trained"
    metrics = trained.manifest.metrics
    for name in ("label_preservation", "geometry", "style_taken", "style_diversity", "own_style_error"):
        assert metrics[name].value is not None, name
    assert 0.0 <= metrics["label_preservation"].value <= 1.0
    assert "in the features of trained" in metrics["style_taken"].how
    assert metrics["style_loss"].value > 0.0


def test_longer_training_finds_better_styles(trained, tiny, tmp_path):
    training = trained.manifest.training
    options = {"family": "style", "target": training.target.source, "store": Store(tmp_path)}
    short = tiny.fit(training.source, recipe=tiny.recipe("style", images_seen=16), **options)
    assert trained.manifest.metrics["style_loss"].value < 0.8 * short.manifest.metrics["style_loss"].value


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_style_is_its_images_own_in_a_batch_and_in_the_workers_of_a_loader(trained):
    images = images_of(trained)[:6]
    sampler = Sampler(trained, device="cpu", precision="32", warmup_seconds=0)
    same = images[:1].expand(6, -1, -1, -1)
    assert len(torch.unique(sampler.translate(same, seed=5).images, dim=0)) == 6
    expected = sampler.translate(images, seed=5, mode="exact").images
    loader = DataLoader(
        Restyled(trained.path, images), batch_size=3, num_workers=1, multiprocessing_context="fork"
    )
    loaded = torch.cat(list(loader))
    assert int((loaded.int() - expected.int()).abs().max()) <= 1


def test_labels_are_kept_where_a_class_can_still_be_told_in_whatever_style(tiny, tmp_path):
    images = load_images(open_source(tiny.source(tmp_path / "a.npz", count=200)))
    training, others = images.subset(range(150)), images.subset(range(150, 200))
    options = {
        "recipe": tiny.recipe("style", images_seen=30_000),
        "device": torch.device("cpu"),
        "kind": "others",
    }

    def kept(translate) -> float:
        return preserved(translate, training, others, **options)["label_preservation"].value

    assert kept(lambda pixels, start: 255 - pixels) > 0.9  # dark on bright shows the same
    assert kept(lambda pixels, start: pixels // 255) < 0.75  # and black shows nothing


def test_no_strength_is_the_own_style_whatever_the_key(trained):
    images = images_of(trained)[:4]
    sampler = Sampler(trained, device="cpu", precision="32", warmup_seconds=0)
    first, other = (sampler.translate(images, seed=seed, strength=0.0).images for seed in (1, 2))
    assert torch.equal(first, other)
    assert not torch.equal(sampler.translate(images, seed=1, strength=0.5).images, first)


def test_a_collection_of_one_picture_is_refused_with_the_reason(tiny, source, tmp_path):
    one = tmp_path / "one.npz"
    np.savez(one, images=np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1))
    with pytest.raises(
        SourceError,
        match=r"one.npz holds 1 image, and --target must hold at least 2: random styles .* Add more",
    ):
        tiny.fit(source, family="style", target=one)


def test_a_small_collection_is_noted(tiny, source, tmp_path, listen):
    few = tiny.source(tmp_path / "few.npz", count=3, classes=0, seed=4)
    tiny.fit(source, family="style", target=few, reporter=(listener := listen()))
    assert any("3 images in" in note and "vary as far as its pictures do" in note for note in listener.notes)


def test_a_style_in_colour_makes_a_model_in_colour(tiny, source, tmp_path, listen):
    colour = tiny.source(tmp_path / "colour.npz", count=8, size=(20, 20), channels=3, classes=0)
    artifact = tiny.fit(source, family="style", target=colour, reporter=(listener := listen()))
    assert artifact.card.image.channels == 3
    assert any("grey, repeated to 3 channels" in note for note in listener.notes)
    images = images_of(artifact).expand(-1, 3, -1, -1)
    made = Sampler(artifact, device="cpu", warmup_seconds=0).translate(images[:8], seed=1).images
    assert (made.float().std(dim=1) > 2.0).any()


def test_features_that_do_not_exist_leave_no_run_behind(tiny, source, synth_home):
    with pytest.raises(NotFoundError, match=r"features = 'nothing' is none of auto, vgg16"):
        tiny.fit(source, family="style", recipe=tiny.recipe("style", features="nothing"))
    with pytest.raises(NotFoundError):
        latest_run("toy")


def test_an_encoder_of_the_store_tells_content_and_style(tiny, source):
    tiny.fit(source, family="encoder", name="eyes")
    artifact = tiny.fit(source, family="style", recipe=tiny.recipe("style", features="eyes"))
    assert artifact.manifest.recipe["features"] == "eyes@1"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("widths=[]", r"widths must be 1 to 6 numbers"),
        ("predictor=[1]", r"predictor must be 1 to 6 numbers"),
        ("content=shape", r"content = 'shape'"),
        ("vary=2", r"vary = 2"),
        ("own_styles=1", r"own_styles = 1"),
    ],
)
def test_a_wrong_setting_is_named(setting, message):
    with pytest.raises(ConfigError, match=message):
        resolve_recipe("style", overrides=[setting])


def test_pictures_of_a_request_give_the_style_and_may_be_mixed(trained):
    images = images_of(trained)[:4]
    sampler = Sampler(trained, device="cpu", precision="32", warmup_seconds=0)
    dark = torch.zeros(1, 9, 9, dtype=torch.uint8)
    noisy = torch.randint(0, 256, (1, 30, 20), dtype=torch.uint8)
    one, again = (sampler.translate(images, seed=seed, style=[noisy]).images for seed in (1, 2))
    assert torch.equal(one, again)  # nothing is random then
    other = sampler.translate(images, seed=1, style=[dark]).images
    assert not torch.equal(one, other)
    nearly = sampler.translate(images, seed=1, style=[noisy, dark], mix="1,0").images
    assert int((nearly.int() - one.int()).abs().max()) <= 1
    with pytest.raises(UsageError, match=r"mix must give a share from 0 for each of the 2 pictures"):
        sampler.translate(images, seed=1, style=[noisy, dark], mix="1")
