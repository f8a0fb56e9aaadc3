"""The sets of a report: brought together, and refused where they cannot be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from synth.data import ImageSet
from synth.errors import LabelError, SourceError
from synth.evaluation.leaks import check_apart
from synth.evaluation.report.model import SetFacts
from synth.text import some


@dataclass(frozen=True)
class Sets:
    """Real, synthetic and, where there are some, held-out real images: of one shape, labels in one list of
    classes.

    ``classes`` is None unless both real and synthetic images are labelled.
    """

    real: ImageSet
    synthetic: ImageSet
    holdout: ImageSet | None
    classes: tuple[str, ...] | None


def align_sets(real: ImageSet, synthetic: ImageSet, holdout: ImageSet | None) -> Sets:
    """Check that the sets can be compared, and number their labels alike.

    Raises:
        SourceError: an empty set, real images that are all the same, or another shape than the real images.
        LabelError: classes that the real images do not have.
        LeakError: a holdout with images that are among the real ones.
    """
    others = {"synthetic": synthetic} if holdout is None else {"synthetic": synthetic, "holdout": holdout}
    for name, one in {"real": real, **others}.items():
        if not len(one):
            raise SourceError(f"There are no {name} images in {one.source or 'the set'}.")
    _check_varied(real)
    for name, one in others.items():
        _check_shape(real, one, name)
    if holdout is not None:
        what, other = (one.source or "memory" for one in (holdout, real))
        check_apart(holdout.ids, real.ids, f"the holdout ({what})", f"the real images ({other})")
    classes = real.classes if real.labels is not None and synthetic.labels is not None else None
    if classes is None:
        return Sets(_unlabelled(real), _unlabelled(synthetic), holdout and _unlabelled(holdout), None)
    return Sets(
        real,
        _renumbered(synthetic, classes, "synthetic"),
        holdout if holdout is None or holdout.labels is None else _renumbered(holdout, classes, "holdout"),
        classes,
    )


def facts_of(images: ImageSet) -> SetFacts:
    """Source, count and digest."""
    digest = hashlib.sha256("\n".join(sorted(images.ids)).encode()).hexdigest()
    counts = images.class_counts if sound_labels(images) else None
    return SetFacts(source=images.source, count=len(images), digest=digest, class_counts=counts)


def sound_labels(images: ImageSet) -> bool:
    """Whether there are labels that can be counted; those that do not pass the gate may not be."""
    labels, classes = images.labels, images.classes
    if labels is None or classes is None or labels.is_floating_point() or not len(labels):
        return False
    return bool((labels >= 0).all() and (labels < len(classes)).all())


def shape_of(images: ImageSet) -> tuple[int, int, int]:
    """Channels, height, width."""
    channels, height, width = images.images.shape[1:]
    return channels, height, width


def _unlabelled(images: ImageSet) -> ImageSet:
    return replace(images, labels=None, classes=None)


def _check_varied(real: ImageSet) -> None:
    if len(real) > 1 and bool((real.images == real.images[:1]).all()):
        raise SourceError(
            f"All {len(real):,} real images in {real.source or 'the set'} are the same picture: there is "
            "nothing to compare with. Look at the source with synth check."
        )


def _check_shape(real: ImageSet, other: ImageSet, name: str) -> None:
    here, there = tuple(real.images.shape[1:]), tuple(other.images.shape[1:])
    if here == there or other.images.ndim != 4:
        return
    remedy = []
    if here[1:] != there[1:]:
        remedy.append(f"bring both to one size by --size {here[1]}x{here[2]}")
    if here[0] != there[0]:
        remedy.append(f"to one number of channels by --channels {min(here[0], there[0])}")
    raise SourceError(
        f"The {name} images are {_size(there)}, and the real ones {_size(here)} (channels x height x width): "
        f"{' and '.join(remedy)}."
    )


def _renumbered(images: ImageSet, classes: Sequence[str], name: str) -> ImageSet:
    """The same with labels that count in ``classes``, found by name."""
    assert images.labels is not None
    if images.classes is None or tuple(images.classes) == tuple(classes):
        return replace(images, classes=tuple(classes))
    counts = (images.class_counts if sound_labels(images) else None) or [1] * len(images.classes)
    unknown = [
        label for label, count in zip(images.classes, counts, strict=True) if label not in classes and count
    ]
    if unknown:
        raise LabelError(
            f"The {name} images have classes that the real ones lack: {some(unknown)}. The real classes are "
            f"{some(classes, 20)}. Name the classes alike in both."
        )
    if not sound_labels(images):  # the gate tells what is wrong with them
        return replace(images, classes=tuple(classes))
    numbers = [classes.index(label) if label in classes else 0 for label in images.classes]
    labels = torch.from_numpy(np.array(numbers, dtype=np.int64))[images.labels]
    return replace(images, labels=labels, classes=tuple(classes))


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
