"""One pass over a source: all that the checks need of each image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from synth.data import Source
from synth.data.files import FileSource
from synth.data.perceptual import thumbnail
from synth.errors import SourceError

STATISTICS = {
    "brightness": "mean grey level, 0 to 255",
    "contrast": "standard deviation of grey levels",
    "sharpness": "logarithm of the variance of the Laplacian",
    "saturation": "mean difference of the strongest and the weakest channel, 0 to 255",
    "redness": "mean of red minus that of the three channels",
    "blueness": "mean of blue minus that of the three channels",
    "height": "pixels",
    "width": "pixels",
}
"""What is measured of each image, and in what."""

_LARGEST = 256
"""Longer sides are reduced first: sharpness is then that of what a network would see."""


@dataclass(frozen=True, eq=False)
class Survey:
    """All samples of a source, in its order.

    Attributes:
        spec: the source as the user wrote it.
        ids, origins: of each sample.
        labels: int64 [N], or None.
        classes: names, or None.
        thumbnails: uint8 [N, 32, 32].
        statistics: name -> float32 [N], the names of ``STATISTICS``.
        channels: int64 [N], 1 or 3.
        unreadable: (origin, reason) of files that cannot be decoded.
        notes: of the source.
    """

    spec: str
    ids: tuple[str, ...]
    origins: tuple[str, ...]
    labels: np.ndarray | None
    classes: tuple[str, ...] | None
    thumbnails: np.ndarray
    statistics: dict[str, np.ndarray]
    channels: np.ndarray
    unreadable: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def label_names(self, rows: list[int]) -> list[str] | None:
        """Class names of these samples, or None where there are no classes."""
        if self.labels is None or self.classes is None:
            return None
        return [self.classes[int(self.labels[row])] for row in rows]

    def class_counts(self) -> dict[str, int] | None:
        """Images per class, or None where there are no classes."""
        if self.labels is None or self.classes is None:
            return None
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counts, strict=True)}


def survey(source: Source) -> Survey:
    """Decode every image of a source once.

    A source opened with ``skip_unreadable`` tells which files cannot be read; another one raises.

    Raises:
        SourceError: there are no images.
        UnreadableError: files cannot be decoded.
    """
    seen = list(source.each(lambda pixels: (thumbnail(pixels), measure(pixels), pixels.shape[2])))
    if not seen:
        raise SourceError(f"There are no images in {source.info.spec}; there is nothing to check.")
    values = np.array([measured for _, (_, measured, _) in seen], dtype=np.float32)
    return Survey(
        spec=source.info.spec,
        ids=tuple(source.ids),
        origins=tuple(origin for origin, _ in seen),
        labels=source.labels,
        classes=source.info.classes,
        thumbnails=np.stack([picture for _, (picture, _, _) in seen]),
        statistics={name: values[:, column] for column, name in enumerate(STATISTICS)},
        channels=np.array([channels for _, (_, _, channels) in seen], dtype=np.int64),
        unreadable=source.unreadable if isinstance(source, FileSource) else (),
        notes=source.info.notes,
    )


def measure(pixels: np.ndarray) -> tuple[float, ...]:
    """The values of ``STATISTICS``, in their order, of canonical pixels (uint8 [H, W, C])."""
    height, width, channels = pixels.shape
    picture = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    if max(height, width) > _LARGEST:
        picture.thumbnail((_LARGEST, _LARGEST), Image.Resampling.BOX)
    small = np.asarray(picture, dtype=np.float32)
    grey = small if channels == 1 else np.asarray(picture.convert("L"), dtype=np.float32)
    saturation = redness = blueness = 0.0
    if channels == 3:
        saturation = float((small.max(axis=2) - small.min(axis=2)).mean())
        means = small.mean(axis=(0, 1))
        redness, blueness = float(means[0] - means.mean()), float(means[2] - means.mean())
    colours = (saturation, redness, blueness)
    return (float(grey.mean()), float(grey.std()), _sharpness(grey), *colours, float(height), float(width))


def _sharpness(grey: np.ndarray) -> float:
    if min(grey.shape) < 3:
        return 0.0
    middle = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float(np.log1p((around - 4.0 * middle).var()))
