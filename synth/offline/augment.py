"""Augment a source on one machine, shard by shard: copies of each image, changed by a pipeline."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synth.augment import Partners, Pipeline, Samples
from synth.augment.annotated import with_annotations
from synth.augment.mixing import check_enough
from synth.batch import Batch, Fingerprint
from synth.data.provenance import PIPELINE
from synth.data.sample import Sample
from synth.data.soft import shares_of
from synth.data.source import Source
from synth.data.writers import DatasetManifest
from synth.data.writers.formats import get_format
from synth.data.writers.objects import check_layout
from synth.errors import SourceError, UsageError
from synth.offline.objects import (
    alike,
    annotated,
    catalogue_of,
    default_format,
    largest_shard,
    unchanged,
)
from synth.offline.plan import SHARD_SIZE, Request, Shard, shards
from synth.offline.writing import Progress, write_dataset
from synth.text import some


@dataclass(frozen=True, kw_only=True)
class AugmentationPlan(Request):
    """A whole data set of augmented images: equal plans make equal data sets.

    Attributes:
        pipeline: what is done, with its seed.
        source: the source as the user wrote it, for people; ``ids`` decide.
        ids: content hash of each image, in the order of the source.
        copies: of each image; copy k has the epoch k, and follows all of copy k - 1.
        channels: of all images: grey ones are repeated, once augmented, where others are of colour.
        own_sizes: the images of the source have several sizes.
        kept: class number of each image, or its shares of all classes, or None.
        annotations: digest of what is known of objects and masks, or None.
    """

    pipeline: Pipeline
    source: str
    ids: tuple[str, ...]
    copies: int
    channels: int
    own_sizes: bool = False
    kept: tuple[int, ...] | tuple[tuple[float, ...], ...] | None = None
    annotations: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The request ready for JSON; equal plans give equal dictionaries."""
        digest = hashlib.sha256("".join(self.ids).encode())
        digest.update(repr((self.classes, self.kept)).encode())
        return {
            "operation": "augment",
            **super().as_dict(),
            "pipeline": self.pipeline.specification.plain(),
            "copies": self.copies,
            **({"sizes": "own"} if self.own_sizes else {}),
            "source": self.source,
            "source_digest": digest.hexdigest(),
            **({"annotations": self.annotations} if self.annotations else {}),
        }


def make_augmentation_plan(
    pipeline: Pipeline, source: Source, *, copies: int = 1, **request: Any
) -> AugmentationPlan:
    """The plan of augmenting a whole source.

    Every image is decoded once, so that nothing is begun that would fail in the middle.

    Args:
        pipeline: its seed is the data set's.
        copies: of each image, from 1.
        request: the other fields of ``Request``; the format is by default that of the source.

    Raises:
        ConfigError: a format that would lose objects or masks, or that needs them.
        SourceError: there are no images; or too few to mix, or of several shapes.
        UnreadableError: files that cannot be decoded.
        UsageError: a value is out of range, or a format that cannot hold several sizes.
    """
    if isinstance(copies, bool) or not isinstance(copies, int) or copies < 1:
        raise UsageError(f"copies must be a whole number from 1, not {copies!r}.")
    shapes = {shape for _, shape in source.each(lambda pixels: pixels.shape)}
    if not shapes:
        raise SourceError(f"There are no images in {source.info.spec}.")
    if pipeline.specification.batch:
        _check_mixing(pipeline, source, shapes)
    own_sizes = len({shape[:2] for shape in shapes}) > 1
    catalogue = catalogue_of(source)
    name = request.setdefault("format", default_format(source))
    form = get_format(name, annotated=catalogue is not None)
    if catalogue is not None:
        check_layout(catalogue, name)
    if own_sizes and not form.any_size:
        raise UsageError(
            f"The images of {source.info.spec} have several sizes, and the format {name} holds images of "
            "one. Use imagefolder or webdataset."
        )
    pixels = max(height * width for height, width, _ in shapes)
    request["shard_size"] = min(request.get("shard_size", SHARD_SIZE), largest_shard(source, pixels))
    shares = shares_of(source)
    labels = source.labels if shares is None else shares
    digest = pipeline.specification.digest
    return AugmentationPlan(
        model=f"{PIPELINE}{digest[:12]}",
        digest=digest,
        classes=source.info.classes,
        count=copies * len(source),
        seed=pipeline.seed,
        pipeline=pipeline,
        source=source.info.spec,
        ids=tuple(source.ids),
        copies=copies,
        channels=max(depth for *_, depth in shapes),
        own_sizes=own_sizes,
        kept=None if labels is None else _plain(labels),
        annotations=None if catalogue is None else catalogue.digest,
        mode="exact",
        **request,
    )


def _check_mixing(pipeline: Pipeline, source: Source, shapes: Collection[tuple[int, ...]]) -> None:
    check_enough(source.ids)
    catalogue = catalogue_of(source)
    images = () if catalogue is None else catalogue.images
    if len({image.mask is None for image in images}) > 1:
        raise SourceError(
            f"Some images of {source.info.spec} have masks and some have not, and those that are mixed all "
            "have them, or none: open the ones with masks alone, or leave out 'batch'."
        )
    after = set()
    for height, width, channels in shapes:
        size = height, width
        for step in pipeline.specification.operations():
            size = step.output_size(size)
        after.add((channels, *size))
    if len(after) > 1:
        listed = some([" x ".join(map(str, one)) for one in sorted(after)], 3)
        raise SourceError(
            f"Images that are mixed have one shape, and those of {source.info.spec} have {len(after)} "
            f"(channels x height x width): {listed}. Put resized_crop with a size under 'sample', bring "
            "all to one number of channels, or leave out 'batch'."
        )


def _plain(labels: np.ndarray) -> tuple[int, ...] | tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, labels.tolist())) if labels.ndim == 2 else tuple(labels.tolist())


def augment_dataset(
    source: Source,
    plan: AugmentationPlan,
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> DatasetManifest:
    """Make the data set of ``plan`` in the folder ``out``; it appears there once it is complete.

    Args:
        source: the one that the plan was made for.
        out, resume, overwrite, progress: see ``synth.offline.writing.write_dataset``.

    Raises:
        ConfigError: a crop that does not fit into an image.
        SourceError: the images have changed since the plan was made.
        InterruptedRunError, StorageError: see ``write_dataset``.
    """
    return write_dataset(
        plan,
        shards(plan),
        lambda shard: augment_shard(source, plan, shard),
        out,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )


def augment_shard(source: Source, plan: AugmentationPlan, shard: Shard) -> list[Batch]:
    """The samples of one shard, those side by side of one shape and copy together."""
    return list(_batches(source, plan, shard))


def _batches(source: Source, plan: AugmentationPlan, shard: Shard) -> Iterator[Batch]:
    fingerprint = Fingerprint(
        model=plan.model,
        digest=plan.digest,
        torch=torch.__version__,
        device="cpu",
        precision="32",
        mode="exact",
    )
    partners = None
    if plan.pipeline.specification.batch:
        partners = Partners(
            plan.ids,
            lambda place: _samples(plan, [unchanged(source, plan.ids, plan.source, place)], place),
            len(plan.classes or ()),
        )
    for epoch, place, originals in _originals(source, plan, shard):
        samples = _samples(plan, originals, place)
        first = epoch * len(plan.ids) + place
        made = plan.pipeline.run(samples, epoch, partners)
        images = made.images
        if images.shape[1] < plan.channels:
            images = images.repeat(1, plan.channels, 1, 1)
        batch = Batch(
            images=images,
            labels=made.labels,
            index=torch.arange(first, first + len(originals)),
            seed=plan.seed,
            fingerprint=fingerprint,
            classes=plan.classes,
            parameters={"copies": plan.copies},
            translated=True,
            sources=tuple(map(str, samples.ids)),
        )
        yield annotated(batch, made, originals, source, epoch)


def _originals(
    source: Source, plan: AugmentationPlan, shard: Shard
) -> Iterator[tuple[int, int, list[Sample]]]:
    """Epoch, the place of the first, and the samples of a shard that lie side by side and are of one kind."""
    index, end = shard.start, shard.start + shard.count
    while index < end:
        epoch, place = divmod(index, len(plan.ids))
        places = range(place, min(len(plan.ids), place + end - index))
        for originals in alike(source, plan.ids, plan.source, places):
            yield epoch, place, originals
            place += len(originals)
        index += len(places)


def _samples(plan: AugmentationPlan, originals: list[Sample], first: int) -> Samples:
    """The originals from this place on, of one kind."""
    places = slice(first, first + len(originals))
    images = np.stack([sample.image.transpose(2, 0, 1) for sample in originals])
    samples = Samples(
        torch.from_numpy(np.ascontiguousarray(images)),
        plan.ids[places],
        None if plan.kept is None else torch.tensor(plan.kept[places]),
        classes=plan.classes,
    )
    return with_annotations(samples, originals)
