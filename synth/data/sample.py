"""What a source is made of: samples, and a description of the whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.data.objects import Objects


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """One real image.

    Attributes:
        image: uint8 [H, W, C], canonical (``synth.data.pixels``): C is 1 for grey pictures and 3 for RGB.
        label: class number in the source's ``info.classes``; None where the source has no classes.
        id: hexadecimal SHA-256 of the pixels at their original size.
        origin: where it comes from, for people: the path below the source's folder, or ``file.npz[17]``.
        objects: what is in it, where the source says so: no object at all is known, too.
        mask: integers [H, W], the class of each pixel; None where it is not known.
        shares: float32 [K], its share of each class, where labels are soft; ``label`` is None then.
    """

    image: np.ndarray
    label: int | None
    id: str
    origin: str
    objects: Objects | None = None
    mask: np.ndarray | None = None
    shares: np.ndarray | None = None


@dataclass(frozen=True)
class SourceInfo:
    """A source as a whole.

    Attributes:
        spec: the source as the user wrote it.
        kind: ``folder``, ``npz``, ``builtin``, or how objects are laid out: ``coco``, ``voc``, ``yolo``,
            ``masks``.
        count: number of samples.
        classes: class names in the order of their numbers; None where samples have no labels.
        notes: what the user should know: files ignored or left out, pictures changed in decoding.
        categories: names of the classes of objects, in the order of their numbers; None where samples have no
            objects.
    """

    spec: str
    kind: str
    count: int
    classes: tuple[str, ...] | None
    notes: tuple[str, ...]
    categories: tuple[str, ...] | None = None
