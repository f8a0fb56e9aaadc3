"""A pipeline of a server is used as one that runs here, and gives the same."""

from __future__ import annotations

import pickle
from dataclasses import replace

import httpx2
import numpy as np
import pytest
import torch

import synth.client.parts
from synth.augment import Boxes, Partners, Pipeline, Samples, read_specification
from synth.client import RemotePipeline, ServerError, UnreachableError
from synth.client.transport import Transport
from synth.errors import ConfigError, LabelError, NotFoundError, SourceError, UsageError
from synth.integrations.torch import as_torch

SPEC = {"sample": ["horizontal_flip", {"operation": "rotate", "probability": 0.5}, "gaussian_noise"]}
MIXING = {"sample": ["horizontal_flip"], "batch": ["cutmix"]}


def batch(count: int = 7, channels: int = 3) -> Samples:
    images = torch.randint(0, 256, (count, channels, 9, 6), generator=torch.Generator().manual_seed(0))
    ids = tuple(f"s{row}" if row % 2 else row for row in range(count))
    return Samples(images.to(torch.uint8), ids, torch.arange(count) % 3)


@pytest.fixture
def address(listen):
    return listen()


@pytest.fixture
def remote(address):
    with RemotePipeline(address, SPEC, seed=5) as pipeline:
        yield pipeline


@pytest.mark.parametrize("channels", [1, 3])
def test_it_gives_what_runs_here_also_in_parts(remote, monkeypatch, channels):
    samples = batch(channels=channels)
    # Grey pictures with three channels stay such.
    for given in (samples, replace(samples, images=samples.images[:, :1].repeat(1, channels, 1, 1))):
        expected = Pipeline.read(SPEC, seed=5).run(given, 3)
        made = remote.run(given, 3)
        assert torch.equal(made.images, expected.images)
        assert torch.equal(made.labels, samples.labels)
        assert made.ids == samples.ids
        with monkeypatch.context() as patch:
            patch.setattr(synth.client.parts, "_AT_ONCE", 3)
            assert torch.equal(remote.run(given, 3).images, expected.images)
    assert remote.digest == Pipeline.read(SPEC).specification.digest
    assert remote.specification == read_specification(SPEC).plain()


def test_samples_of_one_call_are_each_others_partners_and_are_sent_at_once(address, monkeypatch):
    monkeypatch.setattr(synth.client.parts, "_AT_ONCE", 3)
    samples = batch()
    partners = Partners(samples.ids, lambda at: samples.part(slice(at, at + 1)), 3)
    expected = Pipeline.read(MIXING, seed=2).run(samples, 1, partners)
    with RemotePipeline(address, read_specification(MIXING), seed=2) as remote:
        made = remote.run(samples, 1, classes=3)
        assert torch.equal(made.images, expected.images)
        assert torch.equal(made.labels, expected.labels)
        named = remote.run(replace(samples, classes=("a", "b", "c")), 1)
        assert torch.equal(named.labels, expected.labels)
        with pytest.raises(LabelError, match="send classes"):
            remote.run(samples)
        with pytest.raises(SourceError, match="it has 1 image"):
            remote.run(batch(1), classes=3)


def test_a_server_that_has_forgotten_it_is_told_again(remote, listen):
    elsewhere = RemotePipeline(listen(), "basic")
    remote._transport, elsewhere._transport = elsewhere._transport, remote._transport
    with elsewhere:
        expected = Pipeline.read(SPEC, seed=5).run(batch()).images
        assert torch.equal(remote.run(batch()).images, expected)


def test_parts_are_made_smaller_until_their_results_are_not_too_large(listen):
    larger = {"sample": [{"operation": "resized_crop", "size": [40, 40]}]}
    samples = batch()
    expected = Pipeline.read(larger, seed=5).run(samples)
    with RemotePipeline(listen(max_response_bytes=2 * 3 * 40 * 40), larger, seed=5) as remote:
        assert torch.equal(remote.run(samples).images, expected.images)
    with (
        RemotePipeline(listen(max_response_bytes=3 * 40), larger) as remote,
        pytest.raises(UsageError, match="more than one answer may have"),
    ):
        remote.run(samples)


def test_ids_may_be_numbers_of_numpy_and_it_may_be_opened_in_another_process(remote):
    samples = replace(batch(), ids=tuple(np.arange(7)))
    with pickle.loads(pickle.dumps(remote)) as again:
        for one in (remote, again):
            assert torch.equal(one.run(samples).images, Pipeline.read(SPEC, seed=5).run(samples).images)
    with pytest.raises(UsageError, match="id of a sample"):
        remote.run(replace(samples, ids=tuple(float(number) for number in range(7))))
    with pytest.raises(UsageError, match="RemotePipeline is no Pipeline, which runs here"):
        as_torch([(samples.images[0], 1)], remote)


def test_another_web_server_is_not_mistaken_for_one_of_synth(monkeypatch):
    monkeypatch.setattr(Transport, "send", lambda *_, **__: httpx2.Response(200, content=b"<html"))
    with pytest.raises(ServerError, match="did not answer with JSON: is that a server of synth"):
        RemotePipeline("http://127.0.0.1:8000", "basic")


def test_it_is_a_file_a_name_or_a_digest(address, remote, tmp_path):
    (tmp_path / "mild.yaml").write_text("sample: [horizontal_flip, rotate]")
    for said in (tmp_path / "mild.yaml", str(tmp_path / "mild.yaml")):
        with RemotePipeline(address, said) as found:
            assert found.digest == read_specification(said).digest
    with RemotePipeline(address, "basic") as basic, RemotePipeline(address, remote.digest) as again:
        assert basic.digest == read_specification("basic").digest
        assert again.specification == remote.specification


@pytest.mark.parametrize(
    ("pipeline", "error", "says"),
    [
        ("basik", NotFoundError, "did you mean 'basic'"),
        ("nowhere.yaml", ConfigError, "Cannot read the pipeline nowhere.yaml"),
        ({"sample": ["blurr"]}, ConfigError, "did you mean 'blur'"),
    ],
)
def test_a_pipeline_that_cannot_be_used_is_refused_at_once(address, pipeline, error, says):
    with pytest.raises(error, match=says):
        RemotePipeline(address, pipeline)


@pytest.mark.parametrize(
    ("samples", "error", "says"),
    [
        (replace(batch(), boxes=Boxes(torch.zeros(0, 4), torch.zeros(0).long())), SourceError, "have boxes"),
        (replace(batch(), masks=torch.zeros(7, 9, 6).long()), SourceError, "have masks"),
        (replace(batch(), images=batch().images.float()), SourceError, "not float32"),
        (batch(channels=4), SourceError, "Run it here for transparency"),
        (replace(batch(), ids=(1, 2)), SourceError, "2 ids were given for 7 images"),
        (replace(batch(), labels=torch.rand(7, 3)), SourceError, "not shares"),
        (replace(batch(), labels=batch().labels - 1), LabelError, "-1 is no class number"),
    ],
)
def test_samples_that_a_server_does_not_take_are_refused(remote, samples, error, says):
    with pytest.raises(error, match=says):
        remote.run(samples)


def test_who_is_not_there_is_named_and_seeds_are_checked(address):
    with pytest.raises(UnreachableError, match="Is synth serve running there"):
        RemotePipeline("http://127.0.0.1:9", "basic", retries=0)
    with pytest.raises(UsageError, match="seed"):
        RemotePipeline(address, "basic", seed=-1)
