"""Trainings that start from an earlier model."""

from __future__ import annotations

import os
import shutil
import signal

import numpy as np
import pytest
import torch

from synth.artifacts import Artifact, Store
from synth.errors import ConfigError, InterruptedRunError, UsageError
from synth.families import TRAINED, get_family
from synth.models.program import ImageShape
from synth.training.runs import latest_run
from synth.training.warm_start import start_from


@pytest.fixture
def first(tiny, source) -> Artifact:
    return tiny.fit(source, name="first")


def build(tiny, family: str, classes: int, side: int = 8):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return get_family(family).load("module")(
            tiny.recipe(family, seed=1), ImageShape(1, side, side), classes
        )


@pytest.fixture(scope="module", params=TRAINED)
def trained(request, tiny, tmp_path_factory) -> Artifact:
    """Of each family, with kind0 and kind1."""
    folder = tmp_path_factory.mktemp("warm")
    options = {"store": Store(folder / "store"), "runs": folder / "runs"}
    return tiny.fit(tiny.source(folder / "toys.npz"), family=request.param, **options)


def test_all_weights_are_taken_where_nothing_differs(tiny, trained):
    artifact = trained
    module = build(tiny, artifact.manifest.family, 2)
    told = start_from(module, artifact, artifact.card.classes)
    for name, weight in artifact.weights().items():
        assert torch.equal(module.network.state_dict()[name], weight), name
        assert torch.equal(module.average.state_dict()[name], weight), name
    assert told.startswith(f"Starting from toy@1: {len(artifact.weights())} of {len(artifact.weights())}")


def test_rows_of_classes_go_by_name_and_new_ones_start_fresh(tiny, trained):
    artifact = trained
    if artifact.manifest.family == "encoder" or artifact.card.classes is None:
        pytest.skip("encoders and translators know no classes")
    module = build(tiny, artifact.manifest.family, 3)
    before = {name: weight.clone() for name, weight in module.network.state_dict().items()}
    told = start_from(module, artifact, ("other", "kind1", "kind0"))
    after, earlier = module.network.state_dict(), artifact.weights()
    tables = [name for name, weight in after.items() if weight.shape != earlier[name].shape]
    assert tables
    for name in tables:
        assert torch.equal(after[name][[2, 1]], earlier[name][:2]), name
        assert torch.equal(after[name][0], before[name][0]), name
        assert torch.equal(after[name][3:], earlier[name][2:]), name  # the row of "no label"
    assert "known classes: kind1, kind0; new, and starting fresh: classes other" in told


def test_another_size_keeps_what_does_not_depend_on_it(tiny, first):
    module = build(tiny, "vae", 2, 16)
    told = start_from(module, first, first.card.classes)
    name = "decoder.stages.0.0.conv1.weight"
    assert torch.equal(module.network.state_dict()[name], first.weights()[name])
    assert "starting fresh: tensors " in told
    assert "decoder.enter.weight" in told


def test_a_model_says_what_it_started_from_and_counts_its_images(tiny, source, first, tmp_path, listen):
    other = tiny.source(tmp_path / "other.npz", seed=5)
    recipe = tiny.recipe(warm_start="first")
    second = tiny.fit(other, name="second", recipe=recipe, reporter=(told := listen()))
    assert second.manifest.origin.model_dump() == {"reference": "first@1", "digest": first.manifest.digest}
    assert "started from the weights of `first@1`" in (second.path / "README.md").read_text()
    assert any(note.startswith("Starting from first@1: ") for note in told.notes)
    assert not any("flatter" in note for note in told.notes)
    own = tiny.fit(other, name="alone")
    assert len(second.training_ids()) == len(own.training_ids()) + len(first.training_ids())
    assert second.manifest.training.images == own.manifest.training.images
    assert own.manifest.origin is None
    assert second.manifest.digest != own.manifest.digest


def test_validation_images_that_the_origin_knows_are_told_of(tiny, source, first, listen):
    recipe = tiny.recipe(warm_start="first", validation=0.4)
    tiny.fit(source, name="second", recipe=recipe, reporter=(told := listen()))
    assert any("validation images were trained on by first@1: the figures" in note for note in told.notes)


def test_a_run_goes_on_though_its_origin_is_gone(tiny, source, first, listen):
    recipe = tiny.recipe(warm_start="first", seed=1)
    expected = tiny.fit(source, name="whole", recipe=recipe)
    with pytest.raises(InterruptedRunError):
        tiny.fit(source, recipe=recipe, reporter=listen(48, lambda: os.kill(os.getpid(), signal.SIGINT)))
    shutil.rmtree(first.path)
    again = tiny.fit(source, recipe=recipe, resume=True)
    assert again.manifest.digest == expected.manifest.digest
    assert again.manifest.origin == expected.manifest.origin
    assert len(again.training_ids()) == len(expected.training_ids())


def test_a_run_that_was_stopped_before_its_first_save_starts_from_it_again(tiny, source, first, listen):
    recipe = tiny.recipe(warm_start="first", seed=1)
    expected = tiny.fit(source, name="whole", recipe=recipe)
    with pytest.raises(InterruptedRunError):
        tiny.fit(source, recipe=recipe, reporter=listen(48, lambda: os.kill(os.getpid(), signal.SIGINT)))
    latest_run("toy").state_file.unlink()
    tiny.fit(source, name="first")  # a newer version is not what the run started from
    assert tiny.fit(source, recipe=recipe, resume=True).manifest.digest == expected.manifest.digest


def test_another_family_is_refused(tiny, source, first, synth_home):
    with pytest.raises(ConfigError, match=r"first@1 is of the family 'vae', and this trains 'encoder'"):
        tiny.fit(source, family="encoder", recipe=tiny.recipe("encoder", warm_start="first"))
    assert not (synth_home / "runs" / "toy").exists()


def test_only_models_of_the_store_are_started_from_and_no_folders(tiny, source, first, synth_home):
    with pytest.raises(UsageError):
        tiny.fit(source, recipe=tiny.recipe(warm_start=str(first.path)))
    assert not (synth_home / "runs" / "toy").exists()


def test_another_network_is_refused_with_what_differs(tiny, source, first):
    recipe = tiny.recipe(warm_start="first", widths=[8, 16], latent=2)
    with pytest.raises(
        ConfigError, match=r"another one: latent: 4 there, 2 here, widths: \[8, 8\] there, \[8, 16\] here"
    ):
        tiny.fit(source, recipe=recipe)


def test_a_model_of_which_nothing_fits_is_refused(tiny, first, monkeypatch):
    strange = {"strange": torch.from_numpy(np.zeros(3, dtype=np.float32))}
    monkeypatch.setattr(Artifact, "weights", lambda self: strange)
    with pytest.raises(ConfigError, match=r"Nothing of first@1 fits"):
        start_from(build(tiny, "vae", 2), first, first.card.classes)
    assert Store().versions("first") == [1]
