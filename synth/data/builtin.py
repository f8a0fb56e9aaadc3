"""The built-in data sets: ``digits``, ``fashion-mnist``, ``mnist`` and ``cifar10``, each with a test part.

A local copy is used where there is one; otherwise torchvision downloads to ``SYNTH_HOME/data``.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from synth.data.archive import read_tar
from synth.data.files import FileSource
from synth.data.folder import open_folder
from synth.data.idx import find_idx, read_idx
from synth.data.pixels import canonical, content_id
from synth.data.source import ArraySource, Source
from synth.data.split import split_by_hash
from synth.errors import SourceError
from synth.home import data_folder

PARTS = ("train", "test")

SYSTEM_FOLDER = Path("/usr/share/datasets")
"""Where Debian's data set packages (``dataset-fashion-mnist``) put their files."""

_DIGITS = tuple("0123456789")
_FASHION = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot",
)  # fmt: skip
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz")


@dataclass(frozen=True)
class _Builtin:
    """A data set: its classes, its name in torchvision, and how to find a local copy of a part.

    ``find`` takes the data set, the part and the spec, and returns what opens it, or None.
    """

    name: str
    classes: tuple[str, ...]
    torchvision: str
    find: Callable[[_Builtin, str, str], Callable[[], Source] | None]
    counts: tuple[int, int]
    """Images of the parts, train and test."""
    folder: str = ""
    """Where torchvision keeps its files, below ``SYNTH_HOME/data``."""

    def places(self) -> list[Path]:
        """The folders searched for a local copy, in this order."""
        return [data_folder() / self.name, data_folder() / self.folder, SYSTEM_FOLDER / self.name]


def _find_digits(builtin: _Builtin, part: str, spec: str) -> Callable[[], Source]:
    return partial(_read_digits, builtin, part, spec)


def _read_digits(builtin: _Builtin, part: str, spec: str) -> Source:
    """scikit-learn's 1,797 handwritten digits, 8 x 8; a fixed fifth of them, by content, is for testing."""
    from sklearn.datasets import load_digits

    values, targets = load_digits(return_X_y=True)
    images = np.round(values * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    labels = targets.astype(np.int64)
    ids = [content_id(canonical(image)) for image in images]
    rows = split_by_hash(ids, {"train": 0.8, "test": 0.2}, labels)[part]
    note = f"{len(rows):,} of the {len(images):,} digits: the {part} part"
    return _arrays(builtin, images[rows], labels[rows], spec, [note])


def _find_idx(builtin: _Builtin, part: str, spec: str) -> Callable[[], Source] | None:
    for folder in builtin.places():
        paths = find_idx(folder, part)
        if paths is not None:
            return partial(_read_idx, builtin, paths, spec)
    return None


def _read_idx(builtin: _Builtin, paths: tuple[Path, Path], spec: str) -> Source:
    images, labels = (read_idx(path) for path in paths)
    folder = paths[0].parent
    if images.ndim != 3 or labels.shape != images.shape[:1] or labels.max() >= len(builtin.classes):
        raise SourceError(
            f"The files in {folder} are not {builtin.name}: images {[*images.shape]}, labels "
            f"{[*labels.shape]}. Remove them, or fetch them again."
        )
    return _arrays(builtin, images[..., None], labels, spec, [f"from {folder}"])


def _find_cifar10(builtin: _Builtin, part: str, spec: str) -> Callable[[], Source] | None:
    """Class folders of images, a tar of them, or torchvision's files (which it checks by their MD5 sums)."""
    for folder in builtin.places():
        if (folder / part).is_dir():
            return partial(open_folder, folder / part, spec=spec, kind="builtin")
        if (folder / "batches.meta").is_file():
            return partial(_from_torchvision, builtin, part, spec)
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path.name.endswith(_ARCHIVES):
                return partial(_read_archive, path, part, spec)
    return None


def _read_archive(path: Path, part: str, spec: str) -> Source:
    return FileSource(spec=spec, kind="builtin", files=read_tar(path, part), notes=[f"from {path}"])


_TABLE = {
    builtin.name: builtin
    for builtin in (
        _Builtin("digits", _DIGITS, "", _find_digits, (1_420, 377)),
        _Builtin("fashion-mnist", _FASHION, "FashionMNIST", _find_idx, (60_000, 10_000), "FashionMNIST/raw"),
        _Builtin("mnist", _DIGITS, "MNIST", _find_idx, (60_000, 10_000), "MNIST/raw"),
        _Builtin("cifar10", _CIFAR10, "CIFAR10", _find_cifar10, (50_000, 10_000), "cifar-10-batches-py"),
    )
}

BUILTINS = tuple(_TABLE)
"""The names of the built-in data sets."""


def builtin_count(spec: str) -> int:
    """How many images a built-in data set has, as published; ``spec`` is NAME, NAME:train or NAME:test."""
    name, _, part = spec.partition(":")
    return _TABLE[name].counts[PARTS.index(part or "train")]


def builtin_is_local(name: str) -> bool:
    """Whether a built-in data set (a name of ``BUILTINS``) can be opened without a network."""
    builtin = _TABLE[name]
    return builtin.find(builtin, "train", name) is not None


def open_builtin(name: str, *, part: str, spec: str) -> Source:
    """One part of a built-in data set, downloaded where there is no local copy.

    Raises:
        SourceError: there is no local copy, and the download failed; names the places searched.
        UnreadableError: a local copy is damaged.
    """
    builtin = _TABLE[name]
    found = builtin.find(builtin, part, spec)
    return found() if found else _from_torchvision(builtin, part, spec)


def _from_torchvision(builtin: _Builtin, part: str, spec: str) -> Source:
    """Torchvision's copy, downloaded where its files are missing or damaged."""
    import torchvision

    kind: Any = getattr(torchvision.datasets, builtin.torchvision)
    try:
        dataset = kind(data_folder(), train=part == "train", download=True)
    except (RuntimeError, OSError, http.client.HTTPException) as error:
        places = ", ".join(str(place) for place in builtin.places())
        raise SourceError(
            f"{builtin.name} is not on this machine and cannot be downloaded ({_last_line(error)}). "
            f"Searched: {places}. Connect to a network, or put its files into {builtin.places()[0]}; "
            "--data digits needs neither."
        ) from error
    images = np.asarray(dataset.data)
    where = data_folder() / builtin.folder
    return _arrays(
        builtin, images.reshape(*images.shape[:3], -1), np.asarray(dataset.targets), spec, [f"from {where}"]
    )


def _arrays(
    builtin: _Builtin, images: np.ndarray, labels: np.ndarray, spec: str, notes: list[str]
) -> ArraySource:
    return ArraySource(
        spec=spec,
        kind="builtin",
        images=images,
        labels=labels,
        classes=builtin.classes,
        origin=spec,
        notes=notes,
    )


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
