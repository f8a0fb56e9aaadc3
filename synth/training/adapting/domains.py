"""The two domains of an adaptation: what is refused, and what both are brought to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from synth.data import LARGEST_OWN_SIDE, ImageSet, load_images, open_source
from synth.data.locations import absolute_spec
from synth.errors import LabelError, SourceError, UsageError
from synth.evaluation.leaks import check_apart
from synth.home import cache_folder
from synth.text import plural, some
from synth.training.opinions import labels_as

LEAST = 16
"""Fewer images of a domain than this say nothing of it."""


@dataclass(frozen=True)
class DomainPair:
    """What is adapted between.

    Attributes:
        source, target: as the user wrote them.
        source_spec, target_spec: the same, as they are opened from any working folder.
        classes: those of the source.
        size: height and width that all images are brought to.
        channels: 1 where all are grey, 3 where one domain is in colour.
        test: labelled images of the target, with ``classes``; None: there are none.
        notes: what the user should know.
        skip_unreadable: files that cannot be decoded are left out, whenever the domains are read.
    """

    source: str
    target: str
    source_spec: str
    target_spec: str
    classes: tuple[str, ...]
    size: tuple[int, int]
    channels: int
    test: ImageSet | None
    notes: tuple[str, ...]
    skip_unreadable: bool = False


def open_domains(
    source: str | Path,
    target: str | Path,
    test: str | Path | None,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    skip_unreadable: bool = False,
) -> DomainPair:
    """Look through both domains, and read the test images.

    Args:
        size: height and width; by default those of the source.

    Raises:
        UsageError: source and target are the same.
        LabelError: a source without labels, or a test set without labels or with other classes.
        SourceError: nothing in there, less than 16 images of a domain, or a size that has to be chosen.
        LeakError: images of the source in the target, or of either in the test set.
        UnreadableError: files that cannot be decoded.
    """
    if absolute_spec(source) == absolute_spec(target):
        raise UsageError(
            f"{source} is both source and target: there is nothing to adapt to. Name another --target."
        )
    first = _read(source, size, channels, skip_unreadable, largest=LARGEST_OWN_SIDE)
    if first.labels is None or first.classes is None:
        told = "; ".join(first.notes)
        raise LabelError(
            f"{source} has no labels to learn{f' ({told})' if told else ''}. The source needs two classes "
            "or more, such as two folders of images; only the target does without."
        )
    shape = (int(first.images.shape[2]), int(first.images.shape[3]))
    second = _read(target, shape, channels, skip_unreadable)
    tested = None if test is None else _read(test, shape, channels, skip_unreadable)
    for each in (first, second):
        if len(each) < LEAST:
            raise SourceError(
                f"{each.source} holds {plural(len(each), 'image')}: too few to know a domain by. "
                f"Adapting takes at least {LEAST}, and some hundreds to be worth it."
            )
    check_apart(second.ids, first.ids, f"the target {target}", f"the source {source}")
    notes = [f"{each.source}: {note}" for each in (first, second) for note in each.notes]
    there = [first, second, *([] if tested is None else [tested])]
    depth = max(int(each.images.shape[1]) for each in there)
    if grey := [each.source for each in there if each.images.shape[1] < depth]:
        notes.append(f"some images are in colour: the grey ones of {some(grey)} are taken as RGB")
    if tested is not None:
        tested = _labelled(tested, first, notes)
        for known, what in ((first, f"the source {source}"), (second, f"the target {target}")):
            check_apart(tested.ids, known.ids, f"the test images {test}", what)
        if tested.images.shape[1] < depth:
            tested = replace(tested, images=tested.images.expand(-1, depth, -1, -1).contiguous())
    return DomainPair(
        source=first.source,
        target=second.source,
        source_spec=absolute_spec(source),
        target_spec=absolute_spec(target),
        classes=first.classes,
        size=shape,
        channels=depth,
        test=tested,
        notes=tuple(notes),
        skip_unreadable=skip_unreadable,
    )


def _read(
    spec: str | Path,
    size: tuple[int, int] | None,
    channels: int | None,
    skip_unreadable: bool,
    largest: int | None = None,
) -> ImageSet:
    return load_images(
        open_source(spec, skip_unreadable=skip_unreadable),
        size=size,
        channels=channels,
        largest_own_side=largest,
        scratch=cache_folder(),
    )


def _labelled(test: ImageSet, source: ImageSet, notes: list[str]) -> ImageSet:
    """The test set with its labels as numbers of the source's classes."""
    if test.labels is None or test.classes is None or source.classes is None:
        raise LabelError(
            f"{test.source} has no labels: nothing can be tested on it. Leave --test out, or name "
            "labelled images."
        )
    labels = labels_as(test, source.classes)
    if labels is None:
        foreign = [name for name in test.classes if name not in source.classes]
        raise LabelError(
            f"{test.source} has classes that {source.source} has not: {some(foreign)}. The source has "
            f"{some(source.classes)}. Name the classes alike in both."
        )
    missing = [name for name in source.classes if name not in test.classes]
    if missing:
        notes.append(f"{test.source} has no images of {some(missing)}: accuracy is that on the other classes")
    return replace(test, labels=labels, classes=source.classes)
