import hashlib
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from synth.artifacts import Artifact, Metric
from synth.errors import ArtifactError


@pytest.fixture
def folder(store, draft) -> Path:
    return store.publish(draft, "pets").path


def edit(folder: Path, **changes: object) -> None:
    """Replace fields of the manifest, written ``section__field``; None removes one."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    for name, value in changes.items():
        *sections, field = name.split("__")
        record = content
        for section in sections:
            record = record[section]
        if value is None:
            del record[field]
        else:
            record[field] = value
    path.write_text(json.dumps(content))


def test_weights_come_back_equal_whatever_their_type_and_layout(store, draft):
    shared = torch.randn(6)
    weights = {
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "transposed": torch.randn(3, 7).T,
        "half": torch.randn(5).to(torch.bfloat16),
        "count": torch.tensor(3),
        "infinite": torch.tensor([float("-inf")]),
        "empty": torch.empty(0, 4),
        "tied": shared,
        "tied_too": shared[:3],
        "trained": torch.nn.Parameter(torch.ones(2)),
    }
    found = store.publish(type(draft)(**{**vars(draft), "weights": weights}), "pets").weights()
    assert found.keys() == weights.keys()
    for name, tensor in weights.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_the_same_generator_has_the_same_digest_under_any_name(store, draft):
    first, second = store.publish(draft, "pets"), store.publish(draft, "animals")
    assert first.manifest.digest == second.manifest.digest
    other = store.publish(type(draft)(**{**vars(draft), "classes": ["dog", "cat"]}), "pets")
    assert other.manifest.digest != first.manifest.digest


def test_the_training_ids_are_known(store, draft):
    ids = store.publish(draft, "pets").training_ids()
    assert len(ids) == 3
    assert all(content_hash in ids for content_hash in draft.ids)
    assert hashlib.sha256(b"never seen").hexdigest() not in ids


def test_a_metric_that_is_no_number_neither_breaks_the_manifest_nor_the_api(store, draft):
    metrics = {"loss": Metric(value=float("nan"), how="it diverged")}
    artifact = store.publish(type(draft)(**{**vars(draft), "metrics": metrics}), "pets")
    assert str(Artifact.open(artifact.path).manifest.metrics["loss"].value) == "nan"
    assert (
        json.loads(json.dumps(artifact.card.as_dict(), allow_nan=False))["metrics"]["loss"]["value"] is None
    )


def test_the_preview_is_a_picture_and_may_be_left_out(store, draft):
    with Image.open(store.publish(draft, "pets").path / "preview.png") as image:
        assert image.size == (24, 8)
    without = store.publish(type(draft)(**{**vars(draft), "preview": None}), "pets").path
    assert not (without / "preview.png").exists()
    assert "preview" not in (without / "README.md").read_text()


def test_a_folder_without_manifest_is_no_artifact(folder):
    (folder / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match=r"manifest\.json is missing"):
        Artifact.open(folder)


@pytest.mark.parametrize("content", [b"", b'{"schema_version": 1', b"\x89PNG\r\n\xff", b"[" * 100_000])
def test_a_manifest_that_is_not_json_is_named(folder, content):
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"manifest\.json is not JSON.*Restore"):
        Artifact.open(folder)


@pytest.mark.parametrize(
    "content", ['{"manifest_version": 3, "name": "an extension"}', "[]", '{"schema_version": "1"}']
)
def test_a_manifest_of_another_program_is_foreign(folder, content):
    (folder / "manifest.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"manifest\.json is not a manifest of synth"):
        Artifact.open(folder)


def test_a_manifest_of_a_newer_schema_asks_for_an_upgrade(folder):
    edit(folder, schema_version=2, whatever="is new")
    with pytest.raises(ArtifactError, match=r"manifest\.json was written by a newer synth.*Upgrade synth"):
        Artifact.open(folder)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"weights__sha256": None}, "weights.sha256: Field required"),
        ({"name": "../pets"}, "name: "),
        ({"version": 0}, "version: "),
        ({"weights__file": "../weights.safetensors"}, "weights.file: "),
        ({"weights__file": "/etc/hostname"}, "weights.file: "),
        ({"training__ids_file": ".."}, "training.ids_file: "),
        ({"training__class_counts": [1]}, "one number for each class"),
        ({"training__pixel_mean": [0.1, 0.2]}, "one number for each channel"),
        ({"surprise": 1}, "surprise: "),
    ],
)
def test_a_manifest_with_a_wrong_field_names_it(folder, changes, named):
    edit(folder, **changes)
    with pytest.raises(ArtifactError, match=named):
        Artifact.open(folder)


def test_a_manifest_changed_by_hand_is_found_out(folder):
    edit(folder, classes=["dog", "cat"])
    with pytest.raises(ArtifactError, match=r"manifest\.json was changed"):
        Artifact.open(folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "training_ids.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} is missing"):
        Artifact.open(folder)


def test_weights_cut_short_are_found_when_opening(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ArtifactError, match=r"weights\.safetensors is cut short"):
        Artifact.open(folder)


def test_one_changed_byte_is_found_before_the_weights_are_used(folder):
    path = folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    artifact = Artifact.open(folder)
    with pytest.raises(ArtifactError, match=r"weights\.safetensors is damaged"):
        artifact.weights()


def test_files_that_go_after_opening_are_named(folder):
    artifact = Artifact.open(folder)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(ArtifactError, match=r"weights\.safetensors is missing"):
        artifact.weights()
    with pytest.raises(ArtifactError, match=r"training_ids\.safetensors is missing"):
        artifact.training_ids()


def test_a_pickle_that_calls_itself_weights_is_not_loaded(store, draft, monkeypatch):
    payload = {**draft.payload(), "weights.safetensors": b"\x80\x04cos\nsystem\n(S'exit 1'\ntR."}
    monkeypatch.setattr(type(draft), "payload", lambda self: payload)
    with pytest.raises(ArtifactError, match=r"weights\.safetensors is not a safetensors file"):
        store.publish(draft, "pets").weights()


def test_ids_of_another_form_are_damage(store, draft, monkeypatch):
    payload = draft.payload()
    payload["training_ids.safetensors"] = payload["weights.safetensors"]
    monkeypatch.setattr(type(draft), "payload", lambda self: payload)
    with pytest.raises(ArtifactError, match="does not hold training ids"):
        store.publish(draft, "pets").training_ids()
