"""What is known of the objects in images: boxes, pixels, keypoints, and what a data set says of each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from synth.errors import SourceError

Layout = Literal["coco", "voc", "yolo", "masks"]
Corners = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels; pixel i lies between i and i + 1."""
LEAST_SIDE = 1e-3
"""Of a box in pixels: float32 and files do not know shorter ones."""


_SIDE = re.compile("left|right", re.IGNORECASE)


def _other_side(found: re.Match[str]) -> str:
    """``Right`` of ``Left``, and so on, in the same letters."""
    word = found.group()
    other = "right" if word.lower() == "left" else "left"
    return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other


@dataclass(frozen=True, eq=False, slots=True)
class Objects:
    """The objects of one image, M in all.

    Attributes:
        boxes: float32 [M, 4], left, top, right, bottom in pixels; pixel i lies between i and i + 1.
        labels: int64 [M], numbers in the source's ``info.categories``.
        numbers: int64 [M], places in ``Catalogue.annotations``.
        masks: bool [M, H, W], none of which is set where the pixels are not known; None where they never are.
        points: keypoints of all; None where no object of the data set has any.
    """

    boxes: np.ndarray
    labels: np.ndarray
    numbers: np.ndarray
    masks: np.ndarray | None
    points: Keypoints | None

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, eq=False, slots=True)
class Keypoints:
    """The keypoints of one image that are labelled, K in all.

    Attributes:
        places: float32 [K, 2], x and y in pixels; the middle of the first pixel is (0.5, 0.5).
        owners: int64 [K], the number of the object of each.
        kinds: int64 [K], places in ``Category.keypoints``.
        mirrors: int64 [K], what kinds they are in a mirror image.
        seen: int64 [K], 1 for those that are hidden and 2 for those to be seen.
    """

    places: np.ndarray
    owners: np.ndarray
    kinds: np.ndarray
    mirrors: np.ndarray
    seen: np.ndarray

    def __len__(self) -> int:
        return len(self.places)


@dataclass(frozen=True, eq=False, slots=True)
class Annotated:
    """What is known of one image that was made of another.

    Attributes:
        record: of the image that it was made of.
        copy: which one of those that were made of it, from 0.
        size: height and width in pixels.
        objects: None where they are not known.
        owners: int64 [K], the place among ``objects`` of the one that each keypoint belongs to: one object of
            the data set may be there several times.
        visible: float [M], the share of each object that was not cut off.
        unchanged: bool [M], which objects are as they were.
        mask: integers [H, W], the class of each pixel; None where it is not known.
    """

    record: ImageRecord
    copy: int
    size: tuple[int, int]
    objects: Objects | None
    owners: np.ndarray
    visible: np.ndarray
    unchanged: np.ndarray
    mask: np.ndarray | None


class Shape(Protocol):
    """The pixels of an object, as its data set says it."""

    def mask(self, height: int, width: int) -> np.ndarray:
        """bool [height, width]."""
        ...

    def plain(self) -> Any:
        """As COCO's ``segmentation`` has it."""
        ...


@dataclass(frozen=True)
class Category:
    """A class of objects. ``id`` is COCO's; numbers are places in ``Catalogue.categories``."""

    name: str
    id: int
    supercategory: str = ""
    keypoints: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, ...], ...] = ()

    @cached_property
    def mirrors(self) -> tuple[int, ...]:
        """What each keypoint is in a mirror image: the left one of a pair by name is the right one."""
        places = {name: place for place, name in enumerate(self.keypoints)}
        return tuple(
            places.get(_SIDE.sub(_other_side, name), place) for place, name in enumerate(self.keypoints)
        )


@dataclass(frozen=True, slots=True)
class Annotation:
    """One object of a data set.

    Attributes:
        image: place in ``Catalogue.images``.
        id: COCO's, or a number of its own.
        label: place in ``Catalogue.categories``.
        box: inside of the image.
        shape: its pixels, where they are known.
        instance: the number of its pixels in ``ImageRecord.instances``.
        keypoints: x, y and COCO's visibility (0 not labelled, 1 hidden, 2 visible) of each of the category's.
        crowd: it stands for many that nobody has told apart.
        area: square pixels, as the data set says.
        difficult, truncated, pose: as Pascal VOC has them.
    """

    image: int
    id: int
    label: int
    box: Corners
    shape: Shape | None = None
    instance: int = 0
    keypoints: tuple[tuple[float, float, int], ...] = ()
    crowd: bool = False
    area: float | None = None
    difficult: bool = False
    truncated: bool = False
    pose: str = ""


@dataclass(frozen=True)
class ImageRecord:
    """One image of a data set.

    Attributes:
        origin: what ``Sample.origin`` says.
        id: COCO's, or a number of its own.
        height, width: in pixels.
        mask: the picture of the class of each pixel, if there is one.
        instances: the picture of the object of each pixel, see ``Annotation.instance``.
        more: what else COCO says of it: its licence, where it came from.
    """

    origin: str
    id: int
    height: int
    width: int
    mask: Path | None = None
    instances: Path | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Catalogue:
    """All that a data set says of its images, besides their pixels."""

    layout: Layout
    categories: tuple[Category, ...]
    images: tuple[ImageRecord, ...]
    annotations: tuple[Annotation, ...]
    licenses: tuple[Mapping[str, Any], ...] = ()

    @cached_property
    def places(self) -> dict[str, int]:
        """Of images, by their origins; SourceError where two share one, as their objects would be swapped."""
        found: dict[str, int] = {}
        for place, image in enumerate(self.images):
            if found.setdefault(image.origin, place) != place:
                raise SourceError(f"Two images of the data set are called {image.origin}: rename one.")
        return found

    @cached_property
    def image_ids(self) -> int:
        """How far the ids of images reach: one more than the largest."""
        return 1 + max((image.id for image in self.images), default=0)

    @cached_property
    def annotation_ids(self) -> int:
        """How far the ids of annotations reach: one more than the largest."""
        return 1 + max((one.id for one in self.annotations), default=0)

    @cached_property
    def by_image(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of the annotations of each image."""
        found: list[list[int]] = [[] for _ in self.images]
        for number, annotation in enumerate(self.annotations):
            found[annotation.image].append(number)
        return tuple(map(tuple, found))

    @cached_property
    def has_pixels(self) -> bool:
        """Whether the pixels of some object are known."""
        return any(one.shape is not None for one in self.annotations) or any(
            one.instances is not None for one in self.images
        )

    @cached_property
    def has_points(self) -> bool:
        """Whether some object has keypoints."""
        return any(one.keypoints for one in self.annotations)

    @cached_property
    def has_masks(self) -> bool:
        """Whether the class of each pixel is known, of some image."""
        return any(one.mask is not None for one in self.images)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything here, and of the mask pictures' bytes."""
        digest = hashlib.sha256(repr((self.categories, self.licenses)).encode())
        for image in self.images:
            digest.update(repr((image.origin, image.id, image.height, image.width, image.more)).encode())
            for picture in (image.mask, image.instances):
                if picture is not None:
                    digest.update(hashlib.sha256(picture.read_bytes()).digest())
        for one in self.annotations:
            shape = None if one.shape is None else one.shape.plain()
            flags = (one.crowd, one.difficult, one.truncated, one.pose)
            digest.update(repr((one.image, one.id, one.label, one.box, shape, one.keypoints, flags)).encode())
        return digest.hexdigest()
