"""What the core does with a family that makes images from images alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synth.artifacts import Store
from synth.batch import PICTURES
from synth.errors import UsageError
from synth.families import FAMILIES, generates, get_family, makes_images, require_translator, translates
from synth.models.program import FromNothing, Resizable, Styled, Translator
from synth.pixels import content_id
from synth.sampling import Sampler
from synth.sampling.execution import Method
from synth.sampling.graphs import GraphBackend
from synth.sampling.load import load_model
from synth.sampling.methods import Ways
from synth.sampling.rows import Rows
from tests import translators
from tests.sampling.test_graphs import Again

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def _family():
    with translators.known():
        yield


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return translators.publish(Store(tmp_path_factory.mktemp("translators") / "store"))


@pytest.fixture(scope="module")
def sampler(artifact) -> Sampler:
    return Sampler(artifact, device="cpu", precision="32", warmup_seconds=0.2)


def photos(count: int, height: int = 16, width: int = 16, channels: int = 3) -> torch.Tensor:
    random = torch.Generator().manual_seed(count * height + width)
    coarse = torch.rand((count, channels, -(-height // 4), -(-width // 4)), generator=random)
    large = coarse.repeat_interleave(4, 2).repeat_interleave(4, 3)[:, :, :height, :width]
    return (large * 255).to(torch.uint8)


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.makes_images])
def test_the_table_says_what_the_programs_can(name):
    family, program = get_family(name), get_family(name).load("program")
    assert hasattr(program, "begin") == family.generates
    assert hasattr(program, "begin_from") == family.translates
    assert makes_images(name)


def test_a_translator_is_told_from_generators_and_encoders():
    assert (makes_images("tint"), generates("tint"), translates("tint")) == (True, False, True)
    with pytest.raises(
        UsageError, match=r"toys@1 is a gan: it makes images from nothing and cannot translate"
    ):
        require_translator("gan", "toys@1")


def test_the_program_is_what_the_core_takes_it_for(sampler):
    program = sampler._core.program
    assert isinstance(program, (Translator, Resizable, Styled))
    assert not isinstance(program, FromNothing)


def test_nothing_is_made_from_nothing(sampler):
    for ask in (lambda: sampler.generate(2), lambda: next(sampler.stream(batch_size=2))):
        with pytest.raises(
            UsageError, match=r"tint@1 is a tint: it makes images from images.*synth translate tint@1"
        ):
            ask()


def test_warm_up_measures_translation(sampler):
    tuning = sampler.explain()["fast"]
    assert tuning["seconds"]
    assert sampler.cost(8) > 0.0
    assert sampler.memory_bytes > 1000


def test_a_translation_depends_on_image_and_key_alone(sampler):
    images = photos(40)
    for mode, tolerance in [("fast", 1), ("exact", 0)]:
        whole = sampler.translate(images, seed=3, mode=mode).images
        part = sampler.translate(images[7:9], seed=3, start=7, mode=mode).images
        assert (part.int() - whole[7:9].int()).abs().max() <= tolerance
    assert not torch.equal(sampler.translate(images, seed=4).images, whole)
    assert torch.equal(sampler.translate(images, seed=4, strength=0.0).images, images)


def test_reduced_precision_is_compared_by_translations(artifact, monkeypatch):
    monkeypatch.setattr("synth.sampling.device.cpu_features", lambda: ["avx512_bf16"])
    reduced = Sampler(artifact, device="cpu", precision="bf16", warmup_seconds=0)
    assert reduced.precision == "bf16"


def test_captured_graphs_take_new_images(artifact):
    ways = Ways(load_model(artifact), CPU, torch.float32)
    recorder = Again()
    graphs = GraphBackend(ways.program, torch.float32, Method("graph", "channels_last"), recorder)
    parameters = {"strength": 1.0, "direction": "a_to_b", "style": ""}
    images = photos(6)
    graphs.prepare(Rows.of(0, torch.arange(2), None, images[:2]), parameters)
    captured = recorder.recorded
    for given in (images[2:4], images[4:6], photos(2, 20, 24)):
        rows = Rows.of(5, torch.arange(2) + 9, None, given)
        for values in (parameters, {**parameters, "strength": 0.5}, {**parameters, "direction": "b_to_a"}):
            expected = ways.steady_backend.run(rows, values)
            assert torch.equal(graphs.run(rows, values), expected)
    assert recorder.recorded == captured


class TestPictures:
    def test_pictures_decide_what_is_made_and_are_recorded_by_their_content(self, sampler):
        images = photos(3)
        dark, bright = np.full((9, 5, 3), 30, np.uint8), torch.full((1, 7, 7), 220, dtype=torch.uint8)
        plain = sampler.translate(images, seed=1, mode="exact")
        one = sampler.translate(images, seed=1, mode="exact", style=dark)
        both = sampler.translate(images, seed=1, mode="exact", style=[dark, bright])
        assert plain.parameters["style"] == ""
        assert one.parameters["style"] == PICTURES + content_id(dark[:, :, :1])
        assert both.parameters["style"].count(",") == 1
        means = [batch.images.float().mean() for batch in (one, both)]
        assert means[0] < means[1] - 20
        assert not torch.equal(plain.images, one.images)
        again = sampler.translate(images[1:2], start=1, seed=8, mode="exact", style=[dark])
        assert torch.equal(again.images[0], one.images[1])  # a style that is given is not drawn

    def test_pictures_may_be_understood_once_and_used_often(self, sampler):
        style = sampler.embed("style", photos(1, 8, 8)[0])
        first = sampler.translate(photos(2), style=style, seed=2)
        assert torch.equal(
            first.images, sampler.translate(photos(2), style=photos(1, 8, 8)[0], seed=2).images
        )

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ("photo.png", r"style takes pictures: --style FILE .*'photo.png' is none"),
            (1.0, "style takes pictures: --style FILE"),
            ([], "style takes 1 to 3 pictures; 0 were given"),
            ([np.zeros((4, 4), np.uint8)] * 4, "takes 1 to 3 pictures; 4 were given"),
            (np.zeros((4, 4), np.float32), r"pictures in uint8.*this one is float32 \[4, 4\]"),
            (np.zeros((4, 4, 4), np.uint8), r"this one is uint8 \[4, 4, 4\]"),
            ([None], "as tensors or numpy arrays, not NoneType"),
        ],
    )
    def test_what_is_no_picture_is_refused(self, sampler, given, message):
        with pytest.raises(UsageError, match=message):
            sampler.translate(photos(1), style=given)

    def test_a_model_without_such_a_parameter_says_so(self, tiny, tmp_path):
        toys = Sampler(
            tiny.untrained(Store(tmp_path / "store")), device="cpu", precision="32", warmup_seconds=0
        )
        with pytest.raises(UsageError, match="toys@1 has no parameter 'style'"):
            toys.translate(np.zeros((1, 8, 8, 1), np.uint8), labels=0, style=np.zeros((4, 4), np.uint8))
        with pytest.raises(UsageError, match="toys@1 takes no pictures as 'style'"):
            toys.embed("style", np.zeros((4, 4), np.uint8))
