"""A source of images whose objects, or the class of each pixel, are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from synth.data.decode import picture_size
from synth.data.detection.pictures import read_mask
from synth.data.files import FileSource, ImageFile
from synth.data.objects import Catalogue, ImageRecord, Keypoints, Objects
from synth.data.sample import Sample, SourceInfo
from synth.data.source import require_origins
from synth.errors import SourceError, UnreadableError
from synth.text import plural, some

T = TypeVar("T")

_NAMED = 10
_SIZE = "is {} x {} pixels, and its {} says {} x {} (width x height)"


class AnnotatedSource(FileSource):
    """Images with what a data set says of them; see ``Source`` and ``Catalogue``.

    Attributes:
        catalogue: of the whole data set, also where this is a part of it.
    """

    def __init__(
        self,
        *,
        spec: str,
        files: Sequence[ImageFile],
        catalogue: Catalogue,
        notes: Sequence[str] = (),
        faults: tuple[tuple[str, str], ...] = (),
        skip_unreadable: bool = False,
        expected: Mapping[str, str] | None = None,
    ) -> None:
        """``files``: at most one of each image of the catalogue, of the same origin. ``faults``: (entry,
        reason) of what was left out of it."""
        super().__init__(
            spec=spec,
            kind=catalogue.layout,
            files=files,
            notes=notes,
            skip_unreadable=skip_unreadable,
            expected=expected,
        )
        self.catalogue = catalogue
        self._faults = faults

    @property
    def info(self) -> SourceInfo:
        names = tuple(category.name for category in self.catalogue.categories)
        return replace(super().info, categories=names or None)

    @property
    def unreadable(self) -> tuple[tuple[str, str], ...]:
        """As of any ``FileSource``, and the entries of annotations that were left out."""
        return (*self._faults, *super().unreadable)

    def record(self, origin: str) -> ImageRecord:
        """What is known of an image as a whole."""
        return self.catalogue.images[self.catalogue.places[origin]]

    def __getitem__(self, position: int) -> Sample:
        sample = super().__getitem__(position)
        record = self.record(sample.origin)
        height, width = sample.image.shape[:2]
        wrong = _other_size(record, height, width)
        if wrong is not None:
            raise self._unfit([f"{sample.origin} {wrong}"])
        try:
            mask = None if record.mask is None else read_mask(record.mask)
            objects = self._objects(record, height, width) if self.catalogue.categories else None
        except UnreadableError as error:
            raise UnreadableError(f"{self._spec}: {error}.") from error
        return replace(sample, objects=objects, mask=mask)

    def each(self, transform: Callable[[np.ndarray], T]) -> Iterator[tuple[str, T]]:
        """See ``Source``; raises SourceError at the end where images have other sizes than is said."""
        wrong = []
        for origin, (value, (height, width)) in super().each(
            lambda pixels: (transform(pixels), pixels.shape[:2])
        ):
            unlike = _other_size(self.record(origin), height, width)
            if unlike is not None:
                wrong.append(f"{origin} {unlike}")
            yield origin, value
        if wrong:
            self._ids = None
            raise self._unfit(wrong)

    def subset(
        self, expected: Mapping[str, str], *, spec: str, classes: Sequence[str] | None = None
    ) -> AnnotatedSource:
        by_origin = {file.origin: file for file in self._files}
        return AnnotatedSource(
            spec=spec,
            files=[by_origin[origin] for origin in require_origins(expected, by_origin, self._spec)],
            catalogue=self.catalogue,
            skip_unreadable=self._skip,
            expected=expected,
        )

    def _objects(self, record: ImageRecord, height: int, width: int) -> Objects:
        numbers = self.catalogue.by_image[self.catalogue.places[record.origin]]
        found = [self.catalogue.annotations[number] for number in numbers]
        masks = None
        if self.catalogue.has_pixels:
            masks = np.zeros((len(found), height, width), dtype=bool)
            instances = None if record.instances is None else read_mask(record.instances)
            for place, one in enumerate(found):
                if one.shape is not None:
                    masks[place] = one.shape.mask(height, width)
                elif instances is not None:
                    masks[place] = instances == one.instance
        return Objects(
            boxes=np.asarray([one.box for one in found], dtype=np.float32).reshape(-1, 4),
            labels=np.asarray([one.label for one in found], dtype=np.int64),
            numbers=np.asarray(numbers, dtype=np.int64),
            masks=masks,
            points=self._points(numbers) if self.catalogue.has_points else None,
        )

    def _points(self, numbers: Sequence[int]) -> Keypoints:
        found: list[tuple[float, float]] = []
        about: list[tuple[int, int, int, int]] = []
        for number in numbers:
            one = self.catalogue.annotations[number]
            mirrors = self.catalogue.categories[one.label].mirrors
            for kind, (x, y, seen) in enumerate(one.keypoints):
                if seen:
                    found.append((x, y))
                    # Keypoints without names are taken for the same on both sides.
                    about.append((number, kind, mirrors[kind] if mirrors else kind, seen))
        places = np.asarray(found, dtype=np.float32).reshape(-1, 2)
        return Keypoints(places, *np.asarray(about, dtype=np.int64).reshape(-1, 4).T.copy())

    def _unfit(self, wrong: Sequence[str]) -> SourceError:
        return SourceError(
            f"{plural(len(wrong), 'image')} of {self._spec} do not fit what is said of them: "
            f"{some(wrong, _NAMED)}. Boxes and masks would lie elsewhere: write them for these images, or "
            "restore the images that they were made for."
        )


def _other_size(record: ImageRecord, height: int, width: int) -> str | None:
    """What is wrong where an image, or a mask of it, has another size than its record; otherwise None."""
    if (record.height, record.width) != (height, width):
        return _SIZE.format(width, height, "annotation", record.width, record.height)
    for picture in (record.mask, record.instances):
        if picture is not None:
            there = _size_of(picture)
            if there != (height, width):
                return _SIZE.format(width, height, f"mask {picture.name}", there[1], there[0])
    return None


def _size_of(picture: Path) -> tuple[int, int]:
    try:
        return picture_size(picture)
    except UnreadableError as error:
        raise UnreadableError(f"The mask {picture} {error}.") from error
