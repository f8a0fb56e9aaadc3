"""Translate a source on one machine, shard by shard: a data set of images made from real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from synth.batch import Batch
from synth.data.images import fit as fit_image
from synth.data.pixels import content_id
from synth.data.source import Source
from synth.data.writers import DatasetManifest
from synth.data.writers.names import folder_names
from synth.errors import LabelError, SourceError, UsageError
from synth.families import require_translator
from synth.labels import Labels, normalise_labels
from synth.offline.plan import Request, Shard, shards
from synth.offline.writing import Progress, check_batch, check_generator, write_dataset
from synth.text import closest, some

if TYPE_CHECKING:
    from synth.artifacts import ModelCard
    from synth.sampling import Generator

Fit = Literal["resize"]
"""What is done to images of another size than the model's: as training does, see ``load_images``."""


@dataclass(frozen=True, kw_only=True)
class TranslationPlan(Request):
    """A whole data set of translated images: equal plans make equal data sets.

    Attributes:
        source: the source as the user wrote it, for people; ``ids`` decide.
        ids: content hash of each image, in the order of the source.
        labels: what the images show, in the classes of the model: a request as in ``synth.labels``, or with
            ``own_labels`` the class number of each image.
        own_labels: the labels are the source's.
        kept: class names and numbers of the source, which the data set keeps where the model has no classes.
        fit: see ``Fit``; None refuses images of another size.
    """

    source: str
    ids: tuple[str, ...]
    own_labels: bool = False
    kept: tuple[tuple[str, ...], tuple[int, ...]] | None = None
    fit: Fit | None = None

    @cached_property
    def source_digest(self) -> str:
        """SHA-256 over the ids of the images and the labels that come from the source."""
        digest = hashlib.sha256("".join(self.ids).encode())
        if self.own_labels:
            digest.update(repr(self.labels).encode())
        if self.kept is not None:
            digest.update(repr(self.kept).encode())
        return digest.hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """The request ready for JSON; equal plans give equal dictionaries."""
        # The labels of a source may be millions; its digest covers them.
        shown = replace(self, labels="source") if self.own_labels or self.kept is not None else self
        return {
            "operation": "translate",
            **super(TranslationPlan, shown).as_dict(),
            "source": self.source,
            "source_digest": self.source_digest,
            "fit": self.fit,
        }


def make_translation_plan(
    card: ModelCard,
    source: Source,
    *,
    labels: Labels | None = None,
    fit: Fit | None = None,
    name: str | None = None,
    **request: Any,
) -> TranslationPlan:
    """The plan of translating a whole source by the generator of this card.

    Every image is decoded once, so that nothing is begun that would fail in the middle.

    Args:
        source: its i-th image gets the key (seed, start + i).
        labels: what the images show, see ``synth.labels``; None: the source's own, matched by the names of
            the classes.
        fit: see ``TranslationPlan``.
        name: what to call the source; by default as it was opened.
        request: the other fields of ``Request``.

    Raises:
        UsageError: the model cannot translate, or a value is out of range.
        LabelError: labels that cannot be read, classes that the model does not have, or no labels where the
            model needs them.
        SourceError: an image of another size, without ``fit``.
        UnreadableError: files that cannot be decoded.
    """
    require_translator(card.family, card.reference)
    if fit not in (None, "resize"):
        raise UsageError(f"There is no fit {fit!r}; use resize, or leave it out.")
    called = source.info.spec if name is None else name
    _check_sizes(source, called, card, fit)
    own: tuple[int, ...] | None = None
    if labels is None and card.classes is not None:
        own = _match(source, called, card, card.classes)
    kept = None
    if labels is None and card.classes is None and source.labels is not None:
        kept = source.info.classes or (), tuple(source.labels.tolist())
    return TranslationPlan(
        model=card.reference,
        digest=card.digest,
        classes=card.classes,
        count=len(source),
        labels=own if own is not None else normalise_labels("any" if labels is None else labels),
        source=called,
        ids=tuple(source.ids),
        own_labels=own is not None,
        kept=kept,
        fit=fit,
        **request,
    )


def translate_dataset(
    generator: Generator,
    source: Source,
    plan: TranslationPlan,
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> DatasetManifest:
    """Make the data set of ``plan`` in the folder ``out``; it appears there once it is complete.

    Args:
        generator, source: those that the plan was made for.
        out, resume, overwrite, progress: see ``synth.offline.writing.write_dataset``.

    Raises:
        LabelError: the labels do not fit the generator's classes or the count.
        SourceError: the images have changed since the plan was made.
        UsageError: the plan is for another generator; and what ``open_writer`` raises.
        InterruptedRunError, StorageError: see ``write_dataset``.
    """
    check_generator(generator, plan)
    return write_dataset(
        plan,
        shards(plan),
        lambda shard: translate_shard(generator, source, plan, shard),
        out,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )


def translate_shard(generator: Generator, source: Source, plan: TranslationPlan, shard: Shard) -> Batch:
    """The samples of one shard: a pure function of (plan, shard number).

    Raises:
        SourceError: an image is not the one that the plan was made for.
        SynthError: the generator gave other samples than those asked for.
    """
    first = shard.start - plan.start
    rows = slice(first, first + shard.count)
    batch = generator.translate(
        _read(source, generator.card, plan, rows),
        labels=None if plan.classes is None else shard.labels,
        seed=plan.seed,
        start=shard.start,
        mode=plan.mode,
        **plan.parameters,
    )
    batch = replace(check_batch(batch, plan, shard), sources=plan.ids[rows])
    if plan.kept is not None:
        classes, numbers = plan.kept
        batch = replace(batch, classes=classes, labels=torch.tensor(numbers[rows], dtype=torch.int64))
    return batch


def _read(source: Source, card: ModelCard, plan: TranslationPlan, rows: slice) -> Tensor:
    """uint8 [N, C, H, W], of the model's shape."""
    shape = card.image
    images = np.empty((rows.stop - rows.start, shape.channels, shape.height, shape.width), dtype=np.uint8)
    for row, position in enumerate(range(rows.start, rows.stop)):
        sample = source[position]
        if content_id(sample.image) != plan.ids[position]:
            raise SourceError(
                f"{sample.origin} of {plan.source} has changed since the work was begun. Restore it, or "
                "start again with --overwrite."
            )
        fitted = fit_image(sample.image, (shape.height, shape.width), shape.channels)
        images[row] = fitted.transpose(2, 0, 1)  # grey is repeated where the model is of colour
    return torch.from_numpy(images)


def _check_sizes(source: Source, called: str, card: ModelCard, fit: Fit | None) -> None:
    """Decode every image once: an unreadable one, or one of a wrong size, shows before anything is made."""
    wanted = card.image.height, card.image.width
    for origin, (height, width) in source.each(lambda pixels: pixels.shape[:2]):
        if fit is None and (height, width) != wanted:
            raise SourceError(
                f"{origin} of {called} is {height} x {width} (height x width), and "
                f"{card.reference} takes {wanted[0]} x {wanted[1]}. With --fit resize such images are "
                "resized, and cropped at the centre."
            )


def _match(source: Source, called: str, card: ModelCard, classes: Sequence[str]) -> tuple[int, ...]:
    """The class number of each image in the model, found by the names of its class."""
    info, labels = source.info, source.labels
    if labels is None or info.classes is None:
        raise LabelError(
            f"{card.reference} has classes, and {called} has no labels. Say with --labels what the images "
            f"show: {some(list(classes), 20)}."
        )
    # Names that cannot be folders are changed when a data set is written; it must be readable here.
    known: Mapping[str, int] = {
        **{name: number for number, name in enumerate(folder_names(classes))},
        **{name: number for number, name in enumerate(classes)},
    }
    there = [info.classes[number] for number in sorted(set(labels.tolist()))]
    unknown = [name for name in there if name not in known]
    if unknown:
        raise LabelError(
            f"{card.reference} has no class {some([repr(name) for name in unknown])}"
            f"{closest(unknown[0], classes)}, which {called} has. Classes of the model: "
            f"{some(list(classes), 20)}. Rename them, or say with --labels what the images show."
        )
    return tuple(known[info.classes[number]] for number in labels.tolist())
