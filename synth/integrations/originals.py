"""Where the images of a training loop come from: synth's sources, and any data set of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal, Protocol, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from synth.augment import Samples
from synth.augment.annotated import with_annotations
from synth.augment.keys import SampleId
from synth.data import Sample, Source
from synth.data.pixels import over_white
from synth.errors import SourceError, UsageError
from synth.integrations.targets import Original, read_target
from synth.pixels import canonical, content_id

Ids = Literal["content"] | Sequence[SampleId] | Callable[[Any], SampleId]
"""By content; one for each position; or of an item as the data set gives it."""
Classes = int | Sequence[str] | None
"""How many classes there are, or their names; None: what the data set says."""
Data = Source | Dataset[Any] | Sequence[Any]

_OPAQUE = ("1", "L", "P", "RGB")
_MODES = {"1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA", "CMYK": "RGB", "YCbCr": "RGB"}
_OWN = ("L", "LA", "RGB", "RGBA")


class Originals(Protocol):
    """Images by position, with what is known of them."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes that labels count in."""

    @property
    def ids(self) -> Sequence[SampleId]:
        """Of all images; may cost a pass over them at first."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int) -> Original: ...


class SourceOriginals:
    """Those of a source, by content."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def classes(self) -> tuple[str, ...] | None:
        return self._source.info.classes

    @property
    def ids(self) -> Sequence[SampleId]:
        return self._source.ids

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, position: int) -> Original:
        return original_of(self._source[position])


class DatasetOriginals:
    """Those of a data set of PyTorch: its items are an image, or an image and a target."""

    def __init__(self, dataset: Dataset[Any] | Sequence[Any], ids: Ids, classes: Classes) -> None:
        self._dataset = cast(Sequence[Any], dataset)
        self._reader = Reader(type(dataset).__name__, ids, classes_of(dataset, classes))
        self.classes = self._reader.classes
        self._ids = None if callable(ids) or ids == "content" else ids
        if self._ids is not None and len(self._ids) != len(self):
            raise UsageError(f"{len(self._ids)} ids were given for a data set of {len(self)}.")

    @cached_property
    def ids(self) -> Sequence[SampleId]:
        if self._ids is not None:
            return tuple(self._ids)
        return tuple(self[position].id for position in range(len(self)))

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, position: int) -> Original:
        return self._reader.read(self._dataset[position], position)


class NoOriginals:
    """In place of those by position, where there are none."""

    ids: Sequence[SampleId] = ()

    def __init__(self, classes: tuple[str, ...] | None = None) -> None:
        self.classes = classes

    def __len__(self) -> int:
        return 0

    def __getitem__(self, position: int) -> Original:
        raise IndexError(position)


class Reader:
    """Makes originals of the items of one data set."""

    def __init__(self, name: str, ids: Ids, classes: tuple[str, ...] | None) -> None:
        if isinstance(ids, str) and ids != "content":
            raise UsageError(f"ids are 'content', one for each position, or a function, not {ids!r}.")
        self._name, self._ids = name, ids
        self.classes = classes

    def read(self, item: Any, position: int) -> Original:
        """The item at a position as an original; SourceError for what is no image of 8 bits."""
        name = f"{self._name}[{position}]"
        pair = isinstance(item, (tuple, list))
        if pair and len(item) != 2:
            raise SourceError(
                f"{name} is a tuple of {len(item)}, where an image and its target are wanted. Put the rest "
                "into the target, or leave it out."
            )
        target = read_target(item[1] if pair else None, name)
        return replace(original_of_image(item[0] if pair else item, name, self._id(item, position)), **target)

    def _id(self, item: Any, position: int) -> SampleId | None:
        """None: its content."""
        if callable(self._ids):
            return self._ids(item)
        return None if self._ids == "content" else self._ids[position]


def originals_of(data: Data, ids: Ids = "content", classes: Classes = None) -> Originals:
    """The images of a source or data set; UsageError for what is neither."""
    if hasattr(data, "info") and hasattr(data, "ids"):
        if ids != "content" or classes is not None:
            raise UsageError("A source has ids and classes of its own: leave 'ids' and 'classes' out.")
        return SourceOriginals(cast(Source, data))
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise UsageError(
            f"{type(data).__name__} has no positions ('__len__' and '__getitem__'). Give a source of "
            "synth.open_source or a map-style data set; as_stream takes an IterableDataset."
        )
    return DatasetOriginals(data, ids, classes)


def original_of(sample: Sample) -> Original:
    """A sample of a source."""
    label = sample.label if sample.shares is None else torch.from_numpy(sample.shares)
    image = torch.from_numpy(sample.image).permute(2, 0, 1)
    if sample.objects is None and sample.mask is None:
        return Original(image, sample.id, target=label, label=label)
    known = with_annotations(Samples(image[None], (sample.id,)), [sample])
    mask = None if known.masks is None else known.masks[0]
    if known.boxes is None and label is None:
        return Original(image, sample.id, mask, mask=mask)
    target = {} if label is None else {"label": label}
    return Original(image, sample.id, target, label, known.boxes, mask, known.points)


def classes_of(dataset: object, classes: Classes) -> tuple[str, ...] | None:
    """Names of the classes: those given, or what the data set calls ``classes``, as torchvision's do."""
    found = getattr(dataset, "classes", None) if classes is None else classes
    if isinstance(found, int) and not isinstance(found, bool):
        return tuple(str(number) for number in range(found))
    if isinstance(found, str) or not isinstance(found, Iterable):
        return None
    return tuple(str(name) for name in found)


def original_of_image(image: Any, name: str, id: SampleId | None = None) -> Original:
    """An image in any usual form, as a source would give it; keyed by its content if there is no ``id``.

    Raises SourceError for what is no image of 8 bits.
    """
    given = _pixels(image, name)
    pixels = canonical(given.permute(1, 2, 0).contiguous().numpy())
    key = content_id(pixels) if id is None else id
    return Original(torch.from_numpy(pixels).permute(2, 0, 1), key, channels=len(given))


def _pixels(image: Any, name: str) -> Tensor:
    """uint8 [C, H, W] of a PIL image, an array [H, W] or [H, W, C], or a tensor [H, W] or [C, H, W]."""
    given = f"{type(image).__name__}"
    if isinstance(image, Image.Image):
        given = f"a PIL image of mode {image.mode}"
        image = _of_pil(image)
    if isinstance(image, np.ndarray):
        given = f"an array of {image.dtype} {[*image.shape]}" if given == "ndarray" else given
        if image.dtype == np.uint8 and image.ndim in (2, 3):
            channels_last = image if image.ndim == 3 else image[:, :, None]
            return torch.from_numpy(np.ascontiguousarray(channels_last)).permute(2, 0, 1)
    if isinstance(image, Tensor):
        given = f"a tensor of {str(image.dtype).removeprefix('torch.')} {[*image.shape]}"
        if image.dtype == torch.uint8 and image.ndim in (2, 3):
            plain = image.as_subclass(Tensor)
            return plain if plain.ndim == 3 else plain[None]
    raise SourceError(
        f"{name} has {given} for an image. Images to augment are PIL images, arrays of uint8 [H, W, C] or "
        "tensors of uint8 [C, H, W]: leave ToTensor, and all that scales, out of the data set's transform."
    )


def _of_pil(image: Image.Image) -> np.ndarray | None:
    """uint8 [H, W] or [H, W, C]; None of a mode that has no such.

    Transparency that is a channel stays one. That of single colours is laid over white, as sources have it.
    """
    if "transparency" in image.info and image.mode in _OPAQUE:
        laid = over_white(np.array(image.convert("RGBA")))
        return laid[..., 0] if image.mode in ("1", "L") else laid
    mode = _MODES.get(image.mode, image.mode)
    return np.array(image if mode == image.mode else image.convert(mode)) if mode in _OWN else None
