"""Augmentation in PyTorch: a dataset for DataLoader, and a transform for pipelines that are there already.

Both key each image by its content, so that they give what ``Pipeline.run`` gives with the ids of a source:
with any number of workers, in any order, on any rank, and after a restart. Tell them each epoch's number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from synth.augment import Partners, Pipeline, Samples
from synth.augment.mixing import usable
from synth.data import Sample, Source
from synth.errors import SourceError, UsageError
from synth.pixels import canonical, content_id
from synth.text import some

Item = Tensor | tuple[Tensor, int | Tensor]


class _Epoch:
    """A number that worker processes see change, as it lies in shared memory."""

    def __init__(self) -> None:
        self._value = torch.zeros((), dtype=torch.int64)
        self._value.share_memory_()  # type: ignore[no-untyped-call]

    def set(self, epoch: int) -> None:
        self._value.fill_(epoch)

    def get(self) -> int:
        return int(self._value)


class AugmentedDataset(Dataset[Item]):
    """The images of a source, augmented: uint8 [C, H, W], and the class number where there are classes.

    A pipeline that mixes makes of the number float32 [K], the share of each class.
    """

    def __init__(self, source: Source, pipeline: Pipeline) -> None:
        self._source, self._pipeline = source, pipeline
        self._mixes = bool(pipeline.specification.batch)
        # The ids of a whole source decode it once, which only mixing needs.
        self._partners = (
            usable(Partners(source.ids, self._alone, len(source.info.classes or ()))) if self._mixes else None
        )
        self._epoch = _Epoch()

    def set_epoch(self, epoch: int) -> None:
        """Augment anew, in all workers, from the next batch that they begin."""
        self._epoch.set(epoch)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, position: int) -> Item:
        return self.__getitems__([position])[0]

    def __getitems__(self, positions: Sequence[int]) -> list[Item]:
        """A batch at once, which DataLoader asks for: images of one shape are augmented together.

        Raises UnreadableError, and what ``Pipeline.run`` raises.
        """
        samples = [self._source[position] for position in positions]
        shapes: dict[tuple[int, ...], list[int]] = {}
        for row, sample in enumerate(samples):
            shapes.setdefault(sample.image.shape, []).append(row)
        images: dict[int, Tensor] = {}
        shares: dict[int, Tensor] = {}
        for rows in shapes.values():
            whole = self._whole([samples[row] for row in rows])
            made = self._pipeline.run(whole, self._epoch.get(), self._partners)
            images.update(zip(rows, made.images, strict=True))
            if self._mixes and made.labels is not None:
                shares.update(zip(rows, made.labels, strict=True))
        return [
            images[row] if sample.label is None else (images[row], shares.get(row, sample.label))
            for row, sample in enumerate(samples)
        ]

    def _whole(self, samples: Sequence[Sample]) -> Samples:
        batch = np.stack([sample.image for sample in samples]).transpose(0, 3, 1, 2)
        labels = [sample.label for sample in samples if sample.label is not None]
        return Samples(
            torch.from_numpy(np.ascontiguousarray(batch)),
            tuple(sample.id for sample in samples),
            torch.tensor(labels) if labels else None,
            classes=self._source.info.classes,
        )

    def _alone(self, position: int) -> Samples:
        return self._whole([self._source[position]])


class AugmentTransform:
    """For ``torchvision.transforms``: uint8 [C, H, W] or [N, C, H, W] to the same, augmented."""

    def __init__(self, pipeline: Pipeline) -> None:
        if pipeline.specification.batch:
            raise UsageError(
                "A transform sees one image and no data set to take partners from: use as_torch for a "
                "pipeline that mixes, or leave out its 'batch'."
            )
        blind = [step.id for step in pipeline.specification.operations() if "labels" in step.needs]
        if blind:
            raise UsageError(
                f"A transform sees images without their labels, which {some(blind)} cannot do without: use "
                "as_torch."
            )
        self._pipeline = pipeline
        self._epoch = _Epoch()

    def set_epoch(self, epoch: int) -> None:
        """Augment anew from the next image on."""
        self._epoch.set(epoch)

    def __call__(self, images: Tensor) -> Tensor:
        """Raises SourceError for anything but images of uint8."""
        if not isinstance(images, Tensor) or images.ndim not in (3, 4) or images.dtype != torch.uint8:
            raise SourceError(
                "The transform takes tensors of uint8, [C, H, W] or [N, C, H, W]. Put "
                "torchvision.transforms.v2.ToImage() before it, and any scaling to floats after it."
            )
        batch = images if images.ndim == 4 else images[None]
        pixels = batch.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        ids = tuple(content_id(canonical(one) if one.shape[2] in (1, 3) else one) for one in pixels)
        made = self._pipeline.run(Samples(batch, ids), self._epoch.get()).images
        return made if images.ndim == 4 else made[0]


def as_torch(source: Source, pipeline: Pipeline) -> AugmentedDataset:
    """A map-style dataset for ``torch.utils.data.DataLoader``, with samplers and workers of any kind."""
    return AugmentedDataset(source, pipeline)


def as_transform(pipeline: Pipeline) -> AugmentTransform:
    """A transform, to be put first where images are still the originals: their content is their key."""
    return AugmentTransform(pipeline)
