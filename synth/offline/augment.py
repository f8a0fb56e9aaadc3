"""Augment a source on one machine, shard by shard: copies of each image, changed by a pipeline."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synth.augment import Pipeline, Samples
from synth.batch import Batch, Fingerprint
from synth.data.pixels import content_id
from synth.data.provenance import PIPELINE
from synth.data.source import Source
from synth.data.writers import DatasetManifest
from synth.data.writers.formats import get_format
from synth.errors import SourceError, UsageError
from synth.offline.plan import SHARD_SIZE, Request, Shard, shards
from synth.offline.writing import Progress, write_dataset

_SHARD_BYTES = 2**29
"""Most bytes of pixels in one shard."""


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
        kept: class number of each image, or None.
    """

    pipeline: Pipeline
    source: str
    ids: tuple[str, ...]
    copies: int
    channels: int
    own_sizes: bool = False
    kept: tuple[int, ...] | None = None

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
        }


def make_augmentation_plan(
    pipeline: Pipeline, source: Source, *, copies: int = 1, **request: Any
) -> AugmentationPlan:
    """The plan of augmenting a whole source.

    Every image is decoded once, so that nothing is begun that would fail in the middle.

    Args:
        pipeline: its seed is the data set's.
        copies: of each image, from 1.
        request: the other fields of ``Request``.

    Raises:
        SourceError: there are no images.
        UnreadableError: files that cannot be decoded.
        UsageError: a value is out of range, or a format that cannot hold several sizes.
    """
    if isinstance(copies, bool) or not isinstance(copies, int) or copies < 1:
        raise UsageError(f"copies must be a whole number from 1, not {copies!r}.")
    if pipeline.specification.batch:
        raise UsageError(
            "The pipeline mixes samples, and a data set on disk holds one class for each image, not shares "
            "of several: leave out 'batch' here, and mix in training (as_torch)."
        )
    shapes = {shape for _, shape in source.each(lambda pixels: pixels.shape)}
    if not shapes:
        raise SourceError(f"There are no images in {source.info.spec}.")
    own_sizes = len({shape[:2] for shape in shapes}) > 1
    name = request.get("format", "imagefolder")
    if own_sizes and not get_format(name).any_size:
        raise UsageError(
            f"The images of {source.info.spec} have several sizes, and the format {name} holds images of "
            "one. Use imagefolder or webdataset."
        )
    largest = max(height * width for height, width, _ in shapes) * 3
    request["shard_size"] = max(1, min(request.get("shard_size", SHARD_SIZE), _SHARD_BYTES // largest))
    labels = source.labels
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
        kept=None if labels is None else tuple(labels.tolist()),
        mode="exact",
        **request,
    )


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
    rows = ((*divmod(index, len(plan.ids)), index) for index in range(shard.start, shard.start + shard.count))
    decoded = ((epoch, _image(source, plan, place), place, index) for epoch, place, index in rows)
    for (epoch, _), group in groupby(decoded, lambda one: (one[0], one[1].shape)):
        alike = list(group)
        places = [place for _, _, place, _ in alike]
        ids = tuple(plan.ids[place] for place in places)
        stacked = torch.from_numpy(np.stack([image for _, image, _, _ in alike]))
        kept = None if plan.kept is None else torch.tensor([plan.kept[place] for place in places])
        images = plan.pipeline.run(Samples(stacked, ids, kept, classes=plan.classes), epoch).images
        if images.shape[1] < plan.channels:
            images = images.repeat(1, plan.channels, 1, 1)
        yield Batch(
            images=images,
            labels=kept,
            index=torch.tensor([index for *_, index in alike], dtype=torch.int64),
            seed=plan.seed,
            fingerprint=fingerprint,
            classes=plan.classes,
            parameters={"copies": plan.copies},
            translated=True,
            sources=ids,
        )


def _image(source: Source, plan: AugmentationPlan, place: int) -> np.ndarray:
    """uint8 [C, H, W]."""
    sample = source[place]
    if content_id(sample.image) != plan.ids[place]:
        raise SourceError(
            f"{sample.origin} of {plan.source} has changed since the work was begun. Restore it, or start "
            "again with --overwrite."
        )
    return np.ascontiguousarray(sample.image.transpose(2, 0, 1))
