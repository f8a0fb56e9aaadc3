"""Arrays of images and labels in an .npz file; pickled content is never loaded."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from synth.artifacts.files import replace_file, storage_errors
from synth.data.images import ImageSet
from synth.data.pixels import over_white
from synth.data.soft import SoftSource, check_shares
from synth.data.source import ArraySource
from synth.errors import NotFoundError, OutputExistsError, SourceError, UnreadableError
from synth.text import some

_IMAGES = {
    "train": ("images", "x", "data", "x_train", "train_images", "arr_0"),
    "test": ("x_test", "test_images", "images_test"),
}
_LABELS = {
    "train": ("labels", "y", "y_train", "train_labels", "arr_1"),
    "test": ("y_test", "test_labels", "labels_test"),
}


def open_npz(path: Path, *, spec: str, part: str = "train") -> ArraySource | SoftSource:
    """The images of an .npz file.

    Images are uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] with 1, 3 or 4 channels (the fourth is alpha and
    is laid over white); where both readings are possible, channels are last. Labels are integers or texts,
    [N] or [N, 1], or shares of classes, floats [N, K]. With ``class_names`` (texts [K]) integer labels count
    in it; without, the sorted labels of the whole file, all parts, are the classes.

    Args:
        part: ``train`` (keys ``images``, ``x``, ``x_train``, ...) or ``test`` (``x_test``, ...).

    Raises:
        UnreadableError: the file is damaged, or no .npz, or holds pickled objects.
        NotFoundError: the file has no such part.
        SourceError: arrays of a type or shape that cannot be images or labels.
    """
    arrays, there = _read(path, {*_IMAGES[part], *_LABELS["train"], *_LABELS["test"], "class_names"})
    key = next((key for key in _IMAGES[part] if key in arrays), None)
    if key is None:
        problem = NotFoundError if part == "test" else SourceError
        raise problem(
            f"{path} has no {part} images: it holds {some(there) or 'nothing'}; {part} images are called "
            f"{' or '.join(_IMAGES[part])}."
        )
    images = _as_images(arrays[key], f"{path}: {key}")
    label_key = next((name for name in _LABELS[part] if name in arrays), None)
    if label_key is not None and arrays[label_key].dtype.kind == "f" and arrays[label_key].ndim == 2:
        return _soft(path, spec, images, arrays[label_key], arrays.get("class_names"))
    labels, classes, notes = None, None, []
    if label_key is not None:
        labels = _flat_labels(arrays[label_key], len(images), f"{path}: {label_key}")
        others = [arrays[name].reshape(-1) for names in _LABELS.values() for name in names if name in arrays]
        labels, classes = _classes(labels, others, arrays.get("class_names"), f"{path}: {label_key}")
        if len(classes) < 2:
            notes.append(f"only one class ({classes[0]}): treated as unlabelled")
            labels, classes = None, None
    else:
        notes.append("no labels in the file: treated as unlabelled")
    if labels is not None and classes is not None:
        missing = sorted(set(range(len(classes))) - set(labels.tolist()))
        if missing:
            notes.append(f"no images of class {some([classes[number] for number in missing])}")
    return ArraySource(
        spec=spec, kind="npz", images=images, labels=labels, classes=classes, origin=path.name, notes=notes
    )


def _soft(
    path: Path, spec: str, images: np.ndarray, labels: np.ndarray, names: np.ndarray | None
) -> SoftSource:
    classes = [str(number) for number in range(labels.shape[1])] if names is None else list(map(str, names))
    shares = check_shares(labels, len(images), len(classes), str(path))
    inner = ArraySource(spec=spec, kind="npz", images=images, labels=None, classes=None, origin=path.name)
    known = {inner.origin(row): one for row, one in enumerate(shares)}
    return SoftSource(inner, known, classes)


def _read(path: Path, keys: Collection[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays of these keys that the file has, and the names of all its arrays."""
    try:
        # Opened here, since numpy leaves a damaged file open.
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise UnreadableError(f"{path} is a single array and no .npz; save it with numpy.savez.")
            with loaded:
                return {key: loaded[key] for key in loaded.files if key in keys}, loaded.files
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError) as error:
        raise UnreadableError(
            f"{path} cannot be read as .npz ({error}). Write it again by numpy.savez, without objects."
        ) from error


def _as_images(array: np.ndarray, where: str) -> np.ndarray:
    """uint8 [N, H, W, 1 or 3]."""
    if array.dtype != np.uint8:
        raise SourceError(f"{where} is {array.dtype}; save images as uint8 with values 0 to 255.")
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or not {array.shape[3], array.shape[1]} & {1, 3, 4}:
        raise SourceError(
            f"{where} has shape {[*array.shape]}; images are [N, H, W], [N, H, W, C] or [N, C, H, W] with "
            "1, 3 or 4 channels."
        )
    if array.shape[3] not in (1, 3, 4):
        array = array.transpose(0, 2, 3, 1)
    if 0 in array.shape:
        raise SourceError(f"{where} holds no images (shape {[*array.shape]}).")
    return over_white(array) if array.shape[3] == 4 else array


def _flat_labels(array: np.ndarray, count: int, where: str) -> np.ndarray:
    if array.shape not in ((count,), (count, 1)):
        raise SourceError(f"{where} has shape {[*array.shape]}; {count} images need labels [{count}].")
    if array.dtype.kind not in "iuU":
        raise SourceError(f"{where} is {array.dtype}; labels are integers or texts.")
    return array.reshape(count)


def _classes(
    labels: np.ndarray, all_labels: list[np.ndarray], names: np.ndarray | None, where: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class numbers int64 [N], and the names that they count in."""
    if names is not None and labels.dtype.kind in "iu":
        if names.ndim != 1 or names.dtype.kind != "U":
            raise SourceError(f"{where}: class_names must be texts [K], not {names.dtype} {[*names.shape]}.")
        if labels.min() < 0 or labels.max() >= len(names):
            raise SourceError(
                f"{where} holds the labels {labels.min()} to {labels.max()}, but there are {len(names)} "
                "class_names."
            )
        return labels.astype(np.int64), tuple(str(name) for name in names)
    text = labels.dtype.kind == "U"
    known = np.unique(np.concatenate([part for part in all_labels if (part.dtype.kind == "U") == text]))
    return np.searchsorted(known, labels).astype(np.int64), tuple(str(value) for value in known)


def write_npz(images: ImageSet, path: Path) -> None:
    """Write images, labels and class names as ``open_npz`` reads them; whole, or not at all.

    Raises OutputExistsError where something is there already, StorageError where the disk refuses.
    """
    if path.exists():
        raise OutputExistsError(f"{path} exists already; choose another name, or remove it first.")
    arrays = {"images": images.images.permute(0, 2, 3, 1).contiguous().numpy()}
    if images.labels is not None and images.classes is not None:
        arrays |= {"labels": images.labels.numpy(), "class_names": np.array(images.classes)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    with storage_errors("write the images", path.parent):
        replace_file(path, buffer.getvalue())
