"""From a reference to a sampler: what is found, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from synth.artifacts import Draft, Store
from synth.errors import ArtifactError, DeviceError, NotFoundError, UsageError
from synth.sampling import Sampler, resolve_device, resolve_precision


def test_a_sampler_is_opened_by_name_version_or_folder(artifacts, monkeypatch):
    artifact = artifacts["toys"]
    store = Store(artifact.path.parents[1])
    expected = Sampler(artifact, device="cpu", precision="32").generate(2).images
    for reference in ("toys", "toys@1", "toys@latest", artifact.path, str(artifact.path)):
        sampler = Sampler.open(reference, store=store, device="cpu", precision="32")
        assert torch.equal(sampler.generate(2).images, expected)
    monkeypatch.chdir(artifact.path.parent)
    assert Sampler.open(Path("1"), device="cpu").card.reference == "toys@1"


def test_the_default_store_is_that_of_synth_home(artifacts, synth_home):
    shutil.copytree(artifacts["toys"].path.parent, synth_home / "store" / "toys")
    assert Sampler.open("toys", device="cpu").card.reference == "toys@1"


@pytest.mark.parametrize(
    ("reference", "error"),
    [("tois", NotFoundError), ("toys@9", NotFoundError), ("a/b", NotFoundError), ("toys@X", UsageError)],
)
def test_a_reference_to_nothing_is_refused(artifacts, reference, error):
    with pytest.raises(error):
        Sampler.open(reference, store=Store(artifacts["toys"].path.parents[1]))


@pytest.fixture
def republish(artifacts, tmp_path):
    """``republish(network=..., weights=..., family=...)``: the artifact toys with these changes."""
    artifact = artifacts["toys"]
    manifest = artifact.manifest
    training = manifest.training
    draft = Draft(
        family=manifest.family,
        network=manifest.network,
        image=manifest.image,
        classes=manifest.classes,
        weights=artifact.weights(),
        parameters=manifest.weights.parameters,
        recipe=manifest.recipe,
        source=training.source,
        images=training.images,
        images_seen=training.images_seen,
        seconds=training.seconds,
        ids=["00" * 32],
        class_counts=training.class_counts,
        pixel_mean=training.pixel_mean,
        pixel_std=training.pixel_std,
    )
    return lambda **changes: Store(tmp_path / "store").publish(dataclasses.replace(draft, **changes), "odd")


@pytest.mark.parametrize(
    "network",
    [
        {},
        {"widths": [8, 16], "blocks": 1, "latent": 4, "components": 2},
        {"widths": [], "blocks": 1, "latent": 4, "components": 2},
        {"widths": [8, 8, 8, 8, 8], "blocks": 1, "latent": 4, "components": 2},
        {"widths": "wide", "blocks": 1, "latent": 4, "components": 2},
        {"widths": [8, 8], "blocks": 1, "latent": 10**30, "components": 2},
        {"widths": [8, 8], "blocks": 1, "latent": -1, "components": 2},
    ],
    ids=lambda network: json.dumps(network.get("widths")),
)
def test_weights_that_do_not_fit_the_network_are_refused(republish, network):
    artifact = republish(network=network)
    with pytest.raises(ArtifactError, match=r"do not fit the network .* Restore the folder"):
        Sampler(artifact, device="cpu")


def test_missing_and_foreign_weights_are_refused(republish, artifacts):
    weights = dict(artifacts["toys"].weights())
    name, weight = weights.popitem()
    for wrong in (weights, {**weights, name: weight, "more": weight}, {**weights, name: weight[..., :1]}):
        with pytest.raises(ArtifactError, match="do not fit the network"):
            Sampler(republish(weights=wrong), device="cpu")


def test_a_family_of_a_later_version_is_refused(republish):
    with pytest.raises(ArtifactError, match=r"of the family 'dream', which .* does not know\. Upgrade synth"):
        Sampler(republish(family="dream"), device="cpu")


@pytest.mark.parametrize("device", ["tpu", "cpu:0", "cuda:x", "", "CPU"])
def test_an_unknown_device_is_refused(device):
    with pytest.raises(DeviceError, match=r"There is no device .*; use auto, cpu, cuda or cuda:N"):
        resolve_device(device)


def test_a_device_that_is_not_there_is_refused(artifacts, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=r"torch sees no CUDA device; use cpu or auto"):
        Sampler(artifacts["toys"], device="cuda")
    assert resolve_device("auto").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(DeviceError, match="there are only 2: cuda:0 to cuda:1"):
        resolve_device("cuda:2")


def test_a_precision_that_the_device_lacks_is_refused(artifacts, monkeypatch):
    monkeypatch.setattr("synth.sampling.device.cpu_features", lambda: ["avx2"])
    for name, message in [
        ("bf16", "cpu does not compute in bf16; use --precision 32 or auto"),
        ("16", "Precision 16 needs a CUDA device"),
        ("8", "There is no precision '8'; use auto, 32, bf16 or 16"),
    ]:
        with pytest.raises(DeviceError, match=message):
            Sampler(artifacts["toys"], device="cpu", precision=name)
    assert resolve_precision("auto", torch.device("cpu")) == "32"


def test_bf16_is_taken_where_the_processor_has_it_and_stays_close(artifacts, monkeypatch):
    monkeypatch.setattr("synth.sampling.device.cpu_features", lambda: ["avx512_bf16"])
    sampler = Sampler(artifacts["toys"], device="cpu")
    assert sampler.precision == "bf16"
    full = Sampler(artifacts["toys"], device="cpu", precision="32").generate(20).images
    assert (sampler.generate(20).images.int() - full.int()).abs().max() <= 16
