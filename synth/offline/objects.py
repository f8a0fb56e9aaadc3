"""Objects and masks of sources on their way through offline work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from synth.augment import Samples
from synth.augment.annotated import annotations_of
from synth.batch import Batch
from synth.data.detection.source import AnnotatedSource
from synth.data.objects import Catalogue
from synth.data.sample import Sample
from synth.data.source import Source
from synth.data.writers.objects import losses


def catalogue_of(source: Source) -> Catalogue | None:
    """All that is known of the objects and masks of a source; None where it has neither."""
    return source.catalogue if isinstance(source, AnnotatedSource) else None


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
