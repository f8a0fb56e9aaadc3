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

from synth.augment import Pipeline, Samples
from synth.data import Source
from synth.errors import SourceError
from synth.pixels import canonical, content_id

Item = Tensor | tuple[Tensor, int]


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
    """The images of a source, augmented: uint8 [C, H, W], and the class number where there are classes."""

    def __init__(self, source: Source, pipeline: Pipeline) -> None:
        self._source, self._pipeline = source, pipeline
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
        for rows in shapes.values():
            batch = np.stack([samples[row].image for row in rows]).transpose(0, 3, 1, 2)
            whole = Samples(
                torch.from_numpy(np.ascontiguousarray(batch)), tuple(samples[row].id for row in rows)
            )
            made = self._pipeline.run(whole, self._epoch.get()).images
            images.update(zip(rows, made, strict=True))
        return [
            images[row] if sample.label is None else (images[row], sample.label)
            for row, sample in enumerate(samples)
        ]


class AugmentTransform:
    """For ``torchvision.transforms``: uint8 [C, H, W] or [N, C, H, W] to the same, augmented."""

    def __init__(self, pipeline: Pipeline) -> None:
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
