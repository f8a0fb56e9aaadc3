"""What ``fit`` does with its source and recipe."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from synth.artifacts import Store
from synth.data import load_images, open_source
from synth.data.locations import absolute_spec
from synth.errors import ConfigError, DeviceError, NonFiniteError
from synth.sampling import Sampler
from synth.training.parts import split
from synth.training.runs import all_runs, latest_run
from synth.training.vae import VAEModule


def test_a_size_that_the_network_cannot_take_is_refused_before_anything_is_written(tiny, source, synth_home):
    with pytest.raises(
        ConfigError, match=r"does not fit images of 8 x 8, grey: 4 widths .* at most 3 widths"
    ):
        tiny.fit(source, recipe=tiny.recipe(widths=[8, 8, 8, 8]))
    assert not synth_home.exists()


def test_as_many_widths_as_the_size_can_be_halved_train_and_sample(tiny, source):
    artifact = tiny.fit(source, recipe=tiny.recipe(widths=[8, 8, 8]))
    assert Sampler(artifact, device="cpu", precision="32").generate(1).images.shape == (1, 1, 8, 8)


def test_a_bad_name_device_or_precision_is_refused_before_anything_is_written(tiny, source, synth_home):
    with pytest.raises(ConfigError, match="A model cannot be called"):
        tiny.fit(source, name="../up")
    with pytest.raises(DeviceError, match="no device 'tpu'"):
        tiny.fit(source, device="tpu")
    with pytest.raises(DeviceError, match="Precision 16 needs a CUDA device"):
        tiny.fit(source, recipe=tiny.recipe(precision="16"))
    assert not synth_home.exists()


@pytest.mark.parametrize(("count", "classes"), [(20, 10), (40, 2), (16, 0), (60, 40)])
def test_images_are_kept_back_but_no_class_as_a_whole(tiny, tmp_path, count, classes):
    images = load_images(open_source(tiny.source(tmp_path / "rare.npz", count=count, classes=classes)))
    training, validation, measured_on = split(images, 0.3)
    assert training.labels is None or set(training.labels.tolist()) == set(range(classes))
    assert not set(training.ids) & set(validation.ids)
    assert len(training) + len(validation) == count
    assert measured_on == "validation images"


def test_where_none_can_be_kept_back_the_metrics_say_so(tiny, tmp_path):
    images = load_images(open_source(tiny.source(tmp_path / "each.npz", count=16, classes=16)))
    training, validation, measured_on = split(images, 0.3)
    assert training.ids == validation.ids == images.ids
    assert measured_on == "training images, since none could be kept back"
    for metric in tiny.fit(tmp_path / "each.npz").manifest.metrics.values():
        assert "16 training images, since none could be kept back" in metric.how


def test_the_resolved_recipe_is_written_into_run_and_artifact(tiny, source):
    recipe = tiny.recipe(precision="auto", seed=3)
    artifact = tiny.fit(source, recipe=recipe)
    written = latest_run("toy").record()["recipe"]
    assert written == artifact.manifest.recipe
    assert written["precision"] in ("32", "bf16")  # what auto stood for
    assert written | {"precision": "auto"} == recipe.model_dump(mode="json")


def test_statistics_and_metrics_describe_the_training_images(tiny, source):
    manifest = tiny.fit(source).manifest
    training = split(load_images(open_source(source)), manifest.recipe["validation"]).training
    pixels = training.images.double() / 255
    written = manifest.training
    assert written.pixel_mean == pytest.approx([pixels.mean().item()])
    assert written.pixel_std == pytest.approx([pixels.std(correction=0).item()])
    assert written.class_counts == training.class_counts
    assert written.images == len(training) < 40
    assert all(metric.how.find("validation images") > 0 for metric in manifest.metrics.values())


def test_the_reporter_hears_of_the_end(tiny, source, listen):
    tiny.fit(source, reporter=(told := listen()))
    assert told.seen == [16, 32, 48, 64, 80, 96]
    assert told.notes[-1].startswith("Published toy@1: 96 images seen in")


def test_a_preview_has_a_row_for_each_class(tiny, source):
    with Image.open(tiny.fit(source).path / "preview.png") as picture:
        assert picture.size == (6 * (10 * 9 - 1), 6 * (2 * 9 - 1))


def test_weights_that_are_not_finite_are_never_saved(tiny, source, monkeypatch):
    def explode(self, optimizer) -> None:
        if self.progress >= 0.5:
            for weight in self.network.parameters():
                weight.grad.fill_(float("inf"))

    monkeypatch.setattr(VAEModule, "on_before_optimizer_step", explode)
    with pytest.raises(
        NonFiniteError, match=r"a weight became NaN or infinite after 64 images.*--resume --set"
    ):
        tiny.fit(source)
    state = latest_run("toy").load_state()
    assert state["images_seen"] == 48
    assert all(torch.isfinite(weight).all() for weight in state["module"].values())
    assert Store().list() == []


def test_divergence_before_anything_was_saved_has_a_remedy_too(tiny, source, monkeypatch):
    monkeypatch.setattr(VAEModule, "loss", lambda self, *_: (self.network.decoder.enter.bias.sum() / 0, {}))
    with pytest.raises(NonFiniteError, match=r"after 0 images. Start again with --set learning_rate=0.0005"):
        tiny.fit(source, recipe=tiny.recipe(learning_rate=2e-3), save_seconds=60.0)


def test_runs_are_numbered_and_the_latest_is_the_highest(tiny, source, synth_home):
    tiny.fit(source)
    first = synth_home / "runs" / "toy" / "0001"
    first.rename(first.with_name("9999"))
    tiny.fit(source)
    assert [run.number for run in all_runs("toy")] == [9999, 10000]
    assert latest_run("toy").number == 10000


@pytest.mark.parametrize("text", ["digits", "digits:test"])
def test_the_name_of_a_built_in_set_stays_a_name_even_beside_such_a_folder(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert absolute_spec(text) == text


def test_a_path_is_remembered_from_the_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("digits", "a b", "with:colon"):
        (tmp_path / name).mkdir()
    (tmp_path / "file.npz").touch()
    assert absolute_spec("./digits") == str(tmp_path / "digits")
    assert absolute_spec(tmp_path.relative_to(tmp_path) / "digits") == str(tmp_path / "digits")
    assert absolute_spec("~/a b") == str(tmp_path / "a b")
    assert absolute_spec("with:colon") == str(tmp_path / "with:colon")
    assert absolute_spec("file.npz:test") == f"{tmp_path / 'file.npz'}:test"


def test_a_module_is_on_its_device_before_it_is_prepared(tiny, source, monkeypatch):
    """There it is taught what it needs: on a GPU that takes seconds, and minutes on a CPU."""
    calls = []
    monkeypatch.setattr(VAEModule, "prepare", lambda *_: calls.append("prepare"))
    monkeypatch.setattr(VAEModule, "to", lambda self, *_, **__: (calls.append("to"), self)[1])
    tiny.fit(source, recipe=tiny.recipe(images_seen=16))
    assert calls[:2] == ["to", "prepare"]
