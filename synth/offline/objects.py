"""Samples of sources, with their objects and masks, on their way through offline work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from synth.augment import Samples
from synth.augment.annotated import annotations_of, kind_of
from synth.batch import Batch
from synth.data.detection.source import AnnotatedSource
from synth.data.objects import Catalogue
from synth.data.pixels import content_id
from synth.data.sample import Sample
from synth.data.source import Source
from synth.data.writers.objects import losses
from synth.errors import SourceError

SHARD_BYTES = 2**29
"""Most bytes of pixels in one shard."""
_MASK_BYTES = 2**27
"""Most bytes of objects' masks in one, on average: they are held several times on their way."""


def catalogue_of(source: Source) -> Catalogue | None:
    """All that is known of the objects and masks of a source; None where it has neither."""
    return source.catalogue if isinstance(source, AnnotatedSource) else None


def largest_shard(source: Source, pixels: int, channels: int = 3) -> int:
    """Most images in one shard, from 1, where each has up to so many pixels."""
    most = SHARD_BYTES // (channels * pixels)
    catalogue = catalogue_of(source)
    if catalogue is not None and catalogue.has_pixels and catalogue.annotations:
        most = min(most, _MASK_BYTES * len(catalogue.images) // (pixels * len(catalogue.annotations)))
    return max(1, most)


def alike(source: Source, ids: Sequence[str], called: str, places: Iterable[int]) -> Iterator[list[Sample]]:
    """The samples at these places, those side by side of one kind together.

    Args:
        ids: of all samples, when the plan was made.
        called: the source, in messages.
    """
    for _, samples in groupby((unchanged(source, ids, called, place) for place in places), kind_of):
        yield list(samples)


def unchanged(source: Source, ids: Sequence[str], called: str, place: int) -> Sample:
    """The sample at this place; SourceError where it is not the one that the plan was made for."""
    sample = source[place]
    if content_id(sample.image) != ids[place]:
        raise SourceError(
            f"{sample.origin} of {called} has changed since the work was begun. Restore it, or start again "
            "with --overwrite."
        )
    return sample


def default_format(source: Source) -> str:
    """The format of a source with objects or masks; otherwise imagefolder."""
    catalogue = catalogue_of(source)
    return "imagefolder" if catalogue is None else catalogue.layout


def lost(source: Source, layout: str) -> list[str]:
    """What the format has no place for of what the source knows, as notes."""
    catalogue = catalogue_of(source)
    return [] if catalogue is None else losses(catalogue, layout)


def annotated(batch: Batch, made: Samples, originals: Sequence[Sample], source: Source, copy: int) -> Batch:
    """``batch`` with what is known of its objects and masks, if anything is.

    Args:
        made: the samples of the batch, one for each of ``originals`` of ``source``.
        copy: which one of each original they are.
    """
    if not isinstance(source, AnnotatedSource):
        return batch
    annotations = tuple(
        annotations_of(made, row, original, source.record(original.origin), copy)
        for row, original in enumerate(originals)
    )
    return replace(batch, annotations=annotations, catalogue=source.catalogue)
