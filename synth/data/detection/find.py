"""Which layout a folder has, if it is one of objects or masks."""

from __future__ import annotations

from pathlib import Path

from synth.data.detection.coco import coco_file, open_coco
from synth.data.detection.masks import masks_folders, open_masks
from synth.data.detection.source import AnnotatedSource
from synth.data.detection.voc import is_voc, open_voc
from synth.data.detection.yolo import is_yolo, open_yolo
from synth.errors import NotFoundError, SourceError
from synth.text import some


def open_annotated(
    folder: Path, *, spec: str, part: str | None = None, skip_unreadable: bool = False
) -> AnnotatedSource | None:
    """The source of a folder as COCO, Pascal VOC or YOLO lays it out, or of images and masks; otherwise None.

    Raises what opening it raises; NotFoundError for a part of a layout that has none; SourceError where the
    folders in it have such a layout, which would else be taken for classes, without their annotations.
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
    within = sorted(
        child for child in folder.iterdir() if child.is_dir() and (is_voc(child) or is_yolo(child))
    )
    if within:
        raise SourceError(
            f"{folder} holds data sets with annotations ({some([path.name for path in within])}) and is none "
            f"itself. Name one of them, for example {within[0]}."
        )
    return None
