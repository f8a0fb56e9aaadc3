"""Which layout a folder has, if it is one of objects or masks."""

from __future__ import annotations

from pathlib import Path

from synth.data.detection.coco import coco_file, open_coco
from synth.data.detection.masks import masks_folders, open_masks
from synth.data.detection.source import AnnotatedSource
from synth.data.detection.voc import is_voc, open_voc
from synth.data.detection.yolo import is_yolo, open_yolo
from synth.errors import NotFoundError


def open_annotated(
    folder: Path, *, spec: str, part: str | None = None, skip_unreadable: bool = False
) -> AnnotatedSource | None:
    """The source of a folder as COCO, Pascal VOC or YOLO lays it out, or of images and masks; otherwise None.

    Raises what opening it raises; NotFoundError for a part of a layout that has none.
    """
    if is_voc(folder):
        return open_voc(folder, spec=spec, part=part, skip_unreadable=skip_unreadable)
    if is_yolo(folder):
        return open_yolo(folder, spec=spec, part=part, skip_unreadable=skip_unreadable)
    annotations, masks = coco_file(folder), masks_folders(folder)
    if part is not None and (annotations or masks):
        raise NotFoundError(f"{folder} has no parts, so there is no {part!r}: name the file of one part.")
    if annotations is not None:
        return open_coco(annotations, spec=spec, skip_unreadable=skip_unreadable)
    if masks is not None:
        return open_masks(*masks, spec=spec, skip_unreadable=skip_unreadable)
    return None
