"""Mosaic: four images that meet in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from synth.augment.box_policy import shifted
from synth.augment.distributions import Distribution, Within
from synth.augment.operation import Meta, MixingOperation, Parameters, require
from synth.augment.samples import Boxes, Points, Samples

_MEETING = Within(0, 1)


class Mosaic(MixingOperation):
    """A window of the size of one image, out of four that lie two by two ("YOLOv4", arXiv 2004.10934).

    Each shows the part that is next to the point where they meet, in its own scale: put ``scale`` under
    'sample' for smaller things. Boxes, masks and points move along; labels are shared by area.
    """

    name: ClassVar[str] = "mosaic"
    geometry: ClassVar[Literal["none", "moves", "resizes"]] = "moves"
    partners: ClassVar[int] = 3
    extra_words: ClassVar[int] = 1

    x: Annotated[Distribution, _MEETING] = Field(
        _MEETING.read([0.2, 0.8]), description="Where they meet, as a share of the width."
    )
    y: Annotated[Distribution, _MEETING] = Field(
        _MEETING.read([0.2, 0.8]), description="Where they meet, as a share of the height."
    )

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        meeting = np.stack([found["x"] * meta.size[1], found["y"] * meta.size[0]], axis=1)
        # In which tile the sample itself lies; its partners follow, row by row.
        return {"meeting": np.round(meeting).astype(np.int64), "tile": (words[:, 0] >> 30)}

    def refuse(self, parameters: Parameters, meta: Meta) -> None:
        require(parameters, "meeting", 0, np.array([meta.size[1], meta.size[0]]))
        require(parameters, "tile", 0, 3)

    def mix(self, samples: Samples, partners: Sequence[Samples], parameters: Parameters) -> Samples:
        height, width = samples.size
        meeting, own = parameters["meeting"], parameters["tile"]
        images = torch.empty_like(samples.images)
        masks = None if samples.masks is None else torch.empty_like(samples.masks)
        labels = None if samples.labels is None else torch.zeros_like(samples.labels)
        boxes: list[Boxes] = []
        points: list[Points] = []
        for turn, part in enumerate((samples, *partners)):
            tile = (own + turn) % 4
            # The upper left corner of this image, in pixels of the window.
            corner = meeting - np.stack([1 - tile % 2, 1 - tile // 2], axis=1) * [width, height]
            for row, (left, top) in enumerate(corner.tolist()):
                there, from_it = _overlap(left, top, width, height)
                images[(row, slice(None), *there)] = part.images[(row, slice(None), *from_it)]
                if masks is not None and part.masks is not None:
                    masks[(row, *there)] = part.masks[(row, *from_it)]
            shift = torch.from_numpy(corner.astype(np.float32))
            if labels is not None and part.labels is not None:
                shown = (width - np.abs(corner[:, 0])) * (height - np.abs(corner[:, 1])) / (width * height)
                labels += part.labels * torch.from_numpy(shown.astype(np.float32))[:, None].to(labels.device)
            if part.boxes is not None:
                boxes.append(shifted(part.boxes, torch.from_numpy(corner), samples.size))
            if part.points is not None:
                places = part.points.places + shift[part.points.rows]
                points.append(part.points.moved(places, samples.size))
        return replace(
            samples,
            images=images,
            labels=labels,
            masks=masks,
            boxes=Boxes.concatenate(boxes) if boxes else None,
            points=Points.concatenate(points) if points else None,
        )


def _overlap(left: int, top: int, width: int, height: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Rows and columns that an image at this place fills in a window of its size, and which of its own."""
    down = slice(max(top, 0), min(top + height, height))
    across = slice(max(left, 0), min(left + width, width))
    own = slice(down.start - top, down.stop - top), slice(across.start - left, across.stop - left)
    return (down, across), own
