"""All images of a source in one tensor, of one size and one number of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from synth.data.scratch import gather, scratch_tensor, widened
from synth.data.soft import shares_of
from synth.data.source import Source
from synth.errors import ConfigError, SourceError
from synth.machine import available_memory
from synth.randomness import permutation, stream_id
from synth.text import plural

MINIMUM_IMAGES = 16
"""Fewer images than this are refused for training."""
LARGEST_OWN_SIDE = 128
"""Training takes the images' own size up to so many pixels a side; beyond, it asks for one."""
_COPIES = 2
"""Of the images, which training holds while it keeps some of them back."""
_SMALL_BYTES = 2**28
"""A selection of images that lie in a file may be as large in memory."""
_MIXED = stream_id("data/images/mixed")


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Decoded images, in memory or, where that cannot hold them, in a file that is mapped into it.

    Attributes:
        images: uint8 [N, C, H, W], values 0 to 255; C is 1 (grey) or 3 (RGB).
        labels: int64 [N], class numbers; None where there are no classes.
        shares: float32 [N, K], of each class, where labels are soft; ``labels`` are those of the greatest.
        ids: content hash of each image at its original size.
        classes: class names by number, or None.
        notes: what the user should know, from the source and from the loading.
        source: the source as the user wrote it.
        scratch: folder for the file that the images lie in; None: they lie in memory.
    """

    images: Tensor
    labels: Tensor | None
    ids: tuple[str, ...]
    classes: tuple[str, ...] | None
    notes: tuple[str, ...] = ()
    source: str = ""
    scratch: Path | None = None
    shares: Tensor | None = None

    def __len__(self) -> int:
        return int(self.images.shape[0])

    @property
    def class_counts(self) -> list[int] | None:
        """Images per class, or None where there are no classes."""
        if self.labels is None or self.classes is None:
            return None
        return torch.bincount(self.labels, minlength=len(self.classes)).tolist()

    def subset(self, positions: Sequence[int] | np.ndarray | Tensor) -> ImageSet:
        """The images at these positions (integers, 0 to N - 1), in this order; classes and notes stay."""
        rows = torch.as_tensor(np.asarray(positions, dtype=np.int64))
        large = len(rows) * self.images[:1].numel() > _SMALL_BYTES
        return replace(
            self,
            images=gather(self.images, rows, self.scratch) if self.scratch and large else self.images[rows],
            labels=None if self.labels is None else self.labels[rows],
            shares=None if self.shares is None else self.shares[rows],
            ids=tuple(self.ids[row] for row in rows.tolist()),
        )

    def mixed(self) -> Tensor:
        """int64 [N]: all positions, in an order that mixes the classes and depends on N alone.

        In folders, classes stand one after another: the first images of a set say little of the others.
        """
        return torch.from_numpy(permutation(0, 0, _MIXED, len(self)))

    def sample(self, count: int) -> ImageSet:
        """Up to ``count`` of the images, from all over, in an order that mixes the classes."""
        return self.subset(self.mixed()[:count])


@dataclass(frozen=True, eq=False, slots=True)
class _Fitted:
    """An image made to fit, with its original height, width and channels."""

    pixels: np.ndarray
    shape: tuple[int, int, int]


def load_images(
    source: Source,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    largest_own_side: int | None = None,
    scratch: Path | None = None,
    soft: bool = False,
) -> ImageSet:
    """Decode a whole source, once, into one tensor.

    Args:
        size: (height, width) in pixels. Images of another size are resized (bicubic, antialiased) until
            their shorter side fits, and cropped at the centre; smaller ones are enlarged. None: the images'
            own size, which must then be the same for all.
        channels: 1 or 3. None: 1 if every image is grey, 3 otherwise.
        largest_own_side: without ``size``, larger images are refused; None takes them all.
        scratch: folder for a file, in which images lie that memory cannot hold; None: those are refused.
        soft: take shares of classes as well; they are refused otherwise.

    Raises:
        ConfigError: a size or number of channels that cannot be.
        SourceError: images of several sizes, or too large ones, without ``size``; or more than fit into
            memory. The message says which.
        StorageError: more than fit into ``scratch``.
        UnreadableError: files that cannot be decoded; the message names them.
    """
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise ConfigError(f"An image size is a height and a width from 1, not {size}.")
    if channels not in (None, 1, 3):
        raise ConfigError(f"Images have 1 channel (grey) or 3 (RGB), not {channels}.")
    decoded: _InMemory | _InFile | None = None
    first: tuple[str, tuple[int, ...]] | None = None
    for origin, image in source.each(lambda pixels: _Fitted(fit(pixels, size, channels), pixels.shape)):
        first = first or (origin, image.shape[:2])
        # At once, and not at the end: a folder of large photographs may not fit into memory.
        if size is None and image.shape[:2] != first[1]:
            raise _mixed_sizes(source.info.spec, first, (origin, image.shape[:2]))
        if decoded is None:
            _check_own_side(image, size, largest_own_side)
            decoded = _room(image, source.at_most(), channels, scratch)
        decoded.add(image)
    if decoded is None:
        raise SourceError(f"There are no images in {source.info.spec}.")
    shapes = np.array(decoded.shapes)
    depth = channels or int(shapes[:, 2].max())
    shares = shares_of(source) if soft else None
    info, labels = source.info, source.labels if shares is None else shares.argmax(axis=1)
    return ImageSet(
        images=decoded.tensor(depth),
        labels=None if labels is None else torch.from_numpy(labels.copy()),
        ids=tuple(source.ids),
        classes=info.classes,
        notes=info.notes + decoded.notes + _notes(shapes, size, depth),
        source=info.spec,
        scratch=decoded.folder,
        shares=None if shares is None else torch.from_numpy(shares),
    )


def _check_own_side(image: _Fitted, size: tuple[int, int] | None, largest: int | None) -> None:
    """What can be said of all images once the first is decoded, before hours are spent on the others."""
    height, width = image.pixels.shape[:2]
    if size is None and largest is not None and max(height, width) > largest:
        raise SourceError(
            f"The images are {height} x {width} pixels, and training at their own size stops at "
            f"{largest} a side. Choose one, such as --size 64."
        )


def _room(image: _Fitted, count: int, channels: int | None, scratch: Path | None) -> _InMemory | _InFile:
    """Where ``count`` images like the first are to lie: in memory if it holds them, else in a file."""
    height, width = image.pixels.shape[:2]
    needed, there = count * image.pixels.nbytes, available_memory()
    if there is None or needed * (_COPIES if scratch else 1) <= there:
        return _InMemory()
    take = f"{count:,} images of {height} x {width} take {needed / 2**30:.1f} GiB in memory, and"
    if scratch is None:
        raise SourceError(f"{take} {there / 2**30:.1f} are free. Use a smaller --size, or fewer images.")
    note = f"{take} only {there / 2**30:.1f} are free: they lie in a file in {scratch} until this ends."
    return _InFile(count, (channels or image.pixels.shape[2], height, width), scratch, note)


class _InMemory:
    """Decoded images, one by one."""

    notes: tuple[str, ...] = ()
    folder: Path | None = None

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self._fitted: list[_Fitted] = []

    def add(self, image: _Fitted) -> None:
        self.shapes.append(image.shape)
        self._fitted.append(image)

    def tensor(self, depth: int) -> Tensor:
        return torch.from_numpy(_stack(self._fitted, depth))


class _InFile:
    """Decoded images in a scratch file, which begins anew in colour if that comes after grey."""

    def __init__(self, count: int, shape: tuple[int, int, int], folder: Path, note: str) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.folder: Path = folder
        self.notes: tuple[str, ...] = (note,)
        self._images = scratch_tensor((count, *shape), folder)

    def add(self, image: _Fitted) -> None:
        if image.pixels.shape[2] > self._images.shape[1]:
            self._images = widened(self._images, self.folder)
        row = self._images[len(self.shapes)].numpy()
        row[:] = image.pixels.transpose(2, 0, 1)  # grey is repeated where the file is in colour
        self.shapes.append(image.shape)

    def tensor(self, depth: int) -> Tensor:
        return self._images[: len(self.shapes)]


def require_images(image_set: ImageSet, minimum: int = MINIMUM_IMAGES) -> None:
    """Raise SourceError where there are too few images to train on."""
    if len(image_set) < minimum:
        raise SourceError(
            f"{image_set.source or 'The source'} holds {plural(len(image_set), 'image')}, and training needs "
            f"at least {minimum}. Add {minimum - len(image_set)} or more, or name a larger source."
        )


def fit(pixels: np.ndarray, size: tuple[int, int] | None, channels: int | None) -> np.ndarray:
    """Canonical pixels as training sees them: uint8 [H, W, C], or [height, width, C] where ``size`` is given.

    Another size is resized and cropped as ``load_images`` says. With ``channels`` 1 colour becomes grey; grey
    stays as it is, and is repeated where it is put among pictures of 3.
    """
    if channels == 1 and pixels.shape[2] == 3:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None]
    if size is not None and pixels.shape[:2] != tuple(size):
        pixels = _resize(pixels, size)
    return pixels


def _resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The largest centred box of the wanted aspect, resized to ``size``."""
    source_height, source_width, depth = pixels.shape
    height, width = size
    scale = min(source_height / height, source_width / width)
    left, top = (source_width - width * scale) / 2, (source_height - height * scale) / 2
    # Rounding must not carry the box out of the picture.
    box = (
        max(left, 0.0),
        max(top, 0.0),
        min(left + width * scale, source_width),
        min(top + height * scale, source_height),
    )
    image = Image.fromarray(pixels[:, :, 0] if depth == 1 else pixels)
    resized = image.resize((width, height), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    return np.asarray(resized).reshape(height, width, depth)


def _stack(fitted: list[_Fitted], depth: int) -> np.ndarray:
    """uint8 [N, depth, H, W]; empties the list on the way, so that no more than one copy is held."""
    height, width = fitted[0].pixels.shape[:2]
    images = np.empty((len(fitted), depth, height, width), dtype=np.uint8)
    fitted.reverse()
    for row in range(len(images)):
        images[row] = fitted.pop().pixels.transpose(2, 0, 1)  # grey is repeated where depth is 3
    return images


def _notes(shapes: np.ndarray, size: tuple[int, int] | None, depth: int) -> tuple[str, ...]:
    """What was changed, of the original shapes int [N, 3]."""
    notes = []
    if size is not None:
        height, width = size
        changed = (shapes[:, 0] != height) | (shapes[:, 1] != width)
        cropped = shapes[:, 0] * width != shapes[:, 1] * height
        enlarged = (shapes[:, 0] < height) | (shapes[:, 1] < width)
        if changed.any():
            note = f"{changed.sum():,} of {plural(len(shapes), 'image')} resized to {height} x {width}"
            if cropped.any():
                note += f"; {cropped.sum():,} cropped at the centre"
            if enlarged.any():
                note += f"; {enlarged.sum():,} smaller than that and enlarged"
            notes.append(note)
    other = shapes[:, 2] != depth
    if other.any():
        kind, done = ("grey", "repeated to 3 channels") if depth == 3 else ("colour", "made grey")
        notes.append(f"{other.sum():,} of {plural(len(shapes), 'image')} in {kind}, {done}")
    return tuple(notes)


def _mixed_sizes(
    spec: str, first: tuple[str, tuple[int, ...]], other: tuple[str, tuple[int, ...]]
) -> SourceError:
    described = " and ".join(f"{name} is {height} x {width}" for name, (height, width) in (first, other))
    return SourceError(
        f"The images of {spec} differ in size: {described} (height x width). "
        "Choose one size with --size, for example --size 32."
    )
