import hashlib
import json
import tarfile

import numpy as np
import pytest
import webdataset
from PIL import Image
from torchvision.datasets import ImageFolder

from synth.data.writers import open_writer, read_manifest
from synth.errors import ConfigError, NotFoundError, SourceError, UsageError


def write(format_name, out, *batches):
    with open_writer(format_name, out, plan={"model": "pets@2"}) as writer:
        for batch in batches:
            writer.write(batch)
    return writer.manifest


def read_tar(path):
    """As webdataset.WebDataset does, which leaves its files open."""
    with open(path, "rb") as stream:
        members = webdataset.tariterators.tar_file_expander([{"url": str(path), "stream": stream}])
        return list(webdataset.decode("rgb8")(webdataset.tariterators.group_by_keys(members)))


def load_with_hugging_face(folder, cache, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    return datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(cache))


@pytest.mark.parametrize("format_name", ["imagefolder", "webdataset", "npz"])
def test_the_manifest_lists_every_file_and_nothing_else_is_there(format_name, tmp_path, make_batch):
    manifest = write(format_name, tmp_path, make_batch(0, 5), make_batch(5, 2))
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert there == {"manifest.json", *(file.path for file in manifest.files)}
    for file in manifest.files:
        data = (tmp_path / file.path).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (file.sha256, file.bytes)
    assert (manifest.count, manifest.classes, manifest.class_counts) == (7, ["cat", "dog"], [4, 3])
    assert manifest.plan == {"format": format_name, "model": "pets@2"}
    assert manifest.fingerprint == make_batch().fingerprint.as_dict()
    assert manifest.synthetic is True
    assert read_manifest(tmp_path) == manifest


def test_torchvision_reads_an_imagefolder(tmp_path, make_batch):
    batch = make_batch(10, 4)
    write("imagefolder", tmp_path, batch)
    data = ImageFolder(tmp_path)
    assert data.classes == ["cat", "dog"]
    for path, label in data.samples:
        row = int(path[-16:-4]) - 10
        assert label == batch.labels[row]
        assert np.array_equal(np.asarray(Image.open(path)), batch.numpy()[row])


def test_hugging_face_reads_images_labels_and_keys_of_an_imagefolder(tmp_path, make_batch, monkeypatch):
    # A class named like a split, and a seed beyond int64, must not confuse it.
    batch = make_batch(0, 5, classes=("train", "bus"), seed=2**64 - 1)
    write("imagefolder", tmp_path / "data", batch)
    rows = load_with_hugging_face(tmp_path / "data", tmp_path / "cache", monkeypatch)["train"]
    assert len(rows) == 5
    for row in rows:
        position = row["index"]
        assert row["label"] == int(batch.labels[position])
        assert row["label_name"] == batch.label_name(position)
        assert int(row["seed"]) == 2**64 - 1
        assert (row["model"], row["synthetic"]) == ("pets@2", True)
        assert np.array_equal(np.asarray(row["image"]), batch.numpy()[position])


def test_an_imagefolder_without_classes_has_one_folder_of_images(tmp_path, make_batch, monkeypatch):
    write("imagefolder", tmp_path / "data", make_batch(0, 3, classes=None, channels=1))
    names = sorted(path.name for path in (tmp_path / "data" / "images").iterdir())
    assert names == ["000000000000.png", "000000000001.png", "000000000002.png"]
    rows = load_with_hugging_face(tmp_path / "data", tmp_path / "cache", monkeypatch)["train"]
    assert [row["label"] for row in rows] == [None] * 3


def test_webdataset_reads_the_tar_shards(tmp_path, make_batch):
    batches = [make_batch(0, 3), make_batch(3, 2)]
    write("webdataset", tmp_path, *batches)
    samples = [sample for name in ("000000.tar", "000001.tar") for sample in read_tar(tmp_path / name)]
    assert [sample["__key__"] for sample in samples] == [f"{index:012d}" for index in range(5)]
    assert [sample["cls"] for sample in samples] == [0, 1, 0, 1, 0]
    assert samples[4]["json"]["index"] == 4
    assert np.array_equal(samples[4]["png"], batches[1].numpy()[1])


def test_tar_members_carry_neither_time_nor_owner(tmp_path, make_batch):
    write("webdataset", tmp_path, make_batch(0, 2, classes=None))
    with tarfile.open(tmp_path / "000000.tar") as tar:
        members = tar.getmembers()
    assert [member.name[12:] for member in members] == [".png", ".json"] * 2
    assert {(member.mtime, member.uid, member.gid, member.uname) for member in members} == {(0, 0, 0, "")}


def test_npz_joins_the_shards_in_order(tmp_path, make_batch):
    batches = [make_batch(0, 3), make_batch(3, 2)]
    write("npz", tmp_path, *batches)
    with np.load(tmp_path / "data.npz") as data:
        assert np.array_equal(data["images"], np.concatenate([batch.numpy() for batch in batches]))
        assert data["images"].dtype == np.uint8
        assert data["labels"].tolist() == [0, 1, 0, 1, 0]
        assert data["labels"].dtype == data["index"].dtype == np.int64
        assert data["index"].tolist() == [0, 1, 2, 3, 4]
        assert data["class_names"].tolist() == ["cat", "dog"]
        assert (int(data["seed"]), str(data["model"]), str(data["digest"])) == (7, "pets@2", "ab" * 32)
        assert json.loads(str(data["parameters"])) == {"temperature": 0.5}


def test_npz_without_classes_has_no_labels(tmp_path, make_batch):
    write("npz", tmp_path, make_batch(classes=None, channels=1))
    with np.load(tmp_path / "data.npz") as data:
        assert not {"labels", "class_names"} & set(data.files)
        assert data["images"].shape == (4, 4, 5, 1)


def test_an_unknown_format_is_refused_with_a_suggestion(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'webdataset'"):
        open_writer("webdatset", tmp_path, plan={})


def test_a_manifest_that_cannot_be_used_says_why(tmp_path, make_batch):
    with pytest.raises(NotFoundError, match=r"no manifest\.json"):
        read_manifest(tmp_path)
    write("npz", tmp_path / "new", make_batch())
    content = json.loads((tmp_path / "new" / "manifest.json").read_text())
    content["schema_version"] = 99
    for text, message in [
        (json.dumps(content), "update synth"),
        ("{", "not JSON"),
        ('{"name": "theirs"}', "not the manifest of a synth data set"),
        ('{"kind": "synth-dataset"}', "damaged"),
        (json.dumps(content).replace("99", "1").replace("data.npz", "../data.npz"), "inside"),
    ]:
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(SourceError, match=message):
            read_manifest(tmp_path)


def test_batches_that_cannot_be_written_are_refused(tmp_path, make_batch):
    empty = make_batch(count=0)
    with pytest.raises(UsageError, match="no data set"), open_writer("npz", tmp_path / "a", plan={}):
        pass
    with open_writer("npz", tmp_path / "b", plan={}) as writer:
        with pytest.raises(UsageError, match="empty"):
            writer.write(empty)
        writer.write(make_batch())
        with pytest.raises(UsageError, match="written already"):
            writer.write(make_batch(), shard=0)
    with pytest.raises(UsageError, match="closed"):
        writer.write(make_batch())
    assert not (tmp_path / "a").exists()
