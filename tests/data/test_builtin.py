from __future__ import annotations

import gzip
import io
import struct
import tarfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

import synth.data.builtin as builtin
from synth.data import BUILTINS, builtin_is_local, load_images, open_source
from synth.errors import NotFoundError, SourceError, UnreadableError

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (20, 28, 28), dtype=np.uint8)
LABELS = (np.arange(20) % 10).astype(np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """SYNTH_HOME/data on a machine that has no data set yet."""
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path))
    monkeypatch.setattr(builtin, "SYSTEM_FOLDER", tmp_path / "system")
    return tmp_path / "data"


def write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)


def test_digits_are_always_there_and_their_parts_have_nothing_in_common():
    train, test = open_source("digits"), open_source("digits:test")
    assert len(train) + len(test) == 1797
    assert 0.15 < len(test) / 1797 < 0.25
    assert not set(train.ids) & set(test.ids)
    assert train.info.kind == "builtin"
    assert train.info.classes == tuple("0123456789")
    images = load_images(train, size=(32, 32)).images
    assert images.shape == (len(train), 1, 32, 32)
    assert load_images(train).images.max() == 255
    assert set(test.labels.tolist()) == set(range(10))
    assert builtin_is_local("digits")


@pytest.mark.parametrize(
    ("place", "suffix"),
    [("data/fashion-mnist", ".gz"), ("data/FashionMNIST/raw", ""), ("system/fashion-mnist", ".gz")],
)
def test_a_local_copy_is_found_in_each_place(tmp_path, place, suffix):
    assert not builtin_is_local("fashion-mnist")
    for stem, count in (("train", 20), ("t10k", 5)):
        write_idx(tmp_path / place / f"{stem}-images-idx3-ubyte{suffix}", IMAGES[:count])
        write_idx(tmp_path / place / f"{stem}-labels-idx1-ubyte{suffix}", LABELS[:count])
    assert builtin_is_local("fashion-mnist")
    source = open_source("fashion-mnist")
    assert np.array_equal(load_images(source).images[:, 0], IMAGES)
    assert source.labels.tolist() == LABELS.tolist()
    assert source.info.classes[0] == "t-shirt"
    assert len(open_source("fashion-mnist:test")) == 5


def test_a_damaged_copy_is_named(folder):
    write_idx(folder / "mnist" / "train-labels-idx1-ubyte.gz", LABELS)
    path = folder / "mnist" / "train-images-idx3-ubyte.gz"
    write_idx(path, IMAGES)
    whole = path.read_bytes()
    for content in (b"", b"nonsense", whole[:-100], gzip.compress(gzip.decompress(whole)[:-5])):
        path.write_bytes(content)
        with pytest.raises(UnreadableError, match="train-images-idx3-ubyte"):
            open_source("mnist")
    write_idx(path, IMAGES[:3])
    with pytest.raises(SourceError, match=r"are not mnist: images \[3, 28, 28\], labels \[20\]"):
        open_source("mnist")


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist", "cifar10"])
def test_without_a_network_the_error_names_places_and_remedy(tmp_path, monkeypatch, name):
    def refuse(*arguments: object, **options: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(SourceError) as caught:
        open_source(name)
    message = str(caught.value)
    assert "Name or service not known" in message
    assert str(tmp_path / "data" / name) in message
    assert str(tmp_path / "system" / name) in message
    assert "--data digits" in message


def test_torchvision_downloads_what_is_not_there(folder, monkeypatch):
    asked = []

    class Downloaded:
        def __init__(self, root: Path, train: bool, download: bool) -> None:
            asked.append((root, train, download))
            self.data, self.targets = torch.from_numpy(IMAGES), torch.from_numpy(LABELS).long()

    class DownloadedInColour(Downloaded):
        def __init__(self, root: Path, train: bool, download: bool) -> None:
            super().__init__(root, train, download)
            self.data = np.repeat(IMAGES[..., None], 3, axis=3)
            self.data[..., 0] = 7
            self.targets = LABELS.tolist()

    monkeypatch.setattr(torchvision.datasets, "MNIST", Downloaded)
    monkeypatch.setattr(torchvision.datasets, "CIFAR10", DownloadedInColour)
    assert np.array_equal(load_images(open_source("mnist")).images[:, 0], IMAGES)
    loaded = load_images(open_source("cifar10:test"))
    assert loaded.images.shape == (20, 3, 28, 28)
    assert loaded.labels.tolist() == LABELS.tolist()
    assert asked == [(folder, True, True), (folder, False, True)]


@pytest.mark.parametrize("packed", [True, False])
def test_cifar10_as_class_folders_of_images_plain_or_in_a_tar(folder, packed):
    (folder / "cifar10").mkdir(parents=True)
    for part, count in (("train", 3), ("test", 2)):
        for name in ("cat", "dog"):
            for number in range(count):
                path = folder / "cifar10" / part / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(IMAGES[number]).save(path)
    if packed:
        with tarfile.open(folder / "cifar10" / "images.tar.xz", "w:xz") as archive:
            for part in ("train", "test"):
                for path in sorted((folder / "cifar10" / part).rglob("*.png")):
                    data = path.read_bytes()
                    info = tarfile.TarInfo(f"CIFAR/{path.relative_to(folder / 'cifar10')}")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
                    path.unlink()
        for path in [
            *folder.rglob("cat"),
            *folder.rglob("dog"),
            *folder.rglob("t*t"),
            *folder.rglob("train"),
        ]:
            path.rmdir()
    assert builtin_is_local("cifar10")
    for spec, count in (("cifar10", 6), ("cifar10:test", 4)):
        source = open_source(spec)
        assert source.info.kind == "builtin"
        loaded = load_images(source)
        assert len(loaded) == count
        assert loaded.classes == ("cat", "dog")
        assert np.array_equal(loaded.images[1, 0], IMAGES[1])


def test_a_damaged_archive_is_named(folder):
    (folder / "cifar10").mkdir(parents=True)
    (folder / "cifar10" / "images.tar.xz").write_bytes(b"\xfd7zXZ\0 and no more")
    with pytest.raises(UnreadableError, match=r"images\.tar\.xz cannot be read"):
        open_source("cifar10")


def test_names_of_no_data_set_or_part_suggest_near_ones(tmp_path, monkeypatch):
    assert set(BUILTINS) == {"digits", "fashion-mnist", "mnist", "cifar10"}
    with pytest.raises(NotFoundError, match=r"'fasion-mnist' \(did you mean 'fashion-mnist'\?\)"):
        open_source("fasion-mnist")
    with pytest.raises(NotFoundError, match=r"no part 'tests' \(did you mean 'test'\?\)"):
        open_source("digits:tests")
    (tmp_path / "pictures").mkdir()
    with pytest.raises(NotFoundError, match=r"did you mean '.*/pictures'\?"):
        open_source(tmp_path / "picturs")
    with pytest.raises(NotFoundError, match="Built-in data sets: digits"):
        open_source("no/such/place")


def test_a_path_is_never_a_built_in_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    Image.fromarray(IMAGES[0]).save(tmp_path / "digits" / "a.png")
    assert len(open_source("digits")) > 1000
    assert len(open_source("./digits")) == 1
    assert len(open_source(Path("digits"))) == 1


def test_a_file_that_is_no_source_is_refused_with_the_accepted_layouts(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,2")
    with pytest.raises(SourceError, match=r"a\.csv is not a source\. A source is a folder"):
        open_source(path)
