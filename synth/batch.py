"""What every sampler returns: images with their labels and keys, and the fingerprint of what made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from synth.data.objects import Annotated, Catalogue

Mode = Literal["fast", "exact"]
Precision = Literal["32", "bf16", "16"]
Parameters = Mapping[str, float | str]
"""Sampling parameters by name: numbers and texts."""
PICTURES = "picture:"
"""What a parameter's text begins with where pictures were given; their content ids follow."""


@dataclass(frozen=True)
class Fingerprint:
    """All that, together with (seed, index, label, parameters), decides the pixels of a sample."""

    model: str
    """Reference with version: ``NAME@3``."""
    digest: str
    """Artifact digest, hexadecimal SHA-256."""
    torch: str
    device: str
    precision: Precision
    mode: Mode

    def as_dict(self) -> dict[str, str]:
        """The fields as plain strings, for JSON and headers."""
        return asdict(self)


@dataclass(frozen=True)
class Batch:
    """N samples.

    Attributes:
        images: uint8 [N, C, H, W], values 0 to 255; C is 1 (grey) or 3 (RGB).
        labels: int64 [N], class numbers; float32 [N, K], shares, of samples that were mixed; None where there
            are no classes.
        index: int64 [N]; with ``seed`` the key of each sample.
        seed: the seed of all samples in the batch.
        fingerprint: what made them.
        classes: the class names that ``labels`` counts in, or None.
        parameters: the sampling parameters in use (defaults filled in), by name.
        translated: whether they were made from images instead of noise alone.
        sources: content hash of the image that each was made from, where that is known.
        annotations: the objects and masks of each, where they are known.
        catalogue: what the data set of those says of all its objects.
    """

    images: Tensor
    labels: Tensor | None
    index: Tensor
    seed: int
    fingerprint: Fingerprint
    classes: tuple[str, ...] | None = None
    parameters: Parameters | None = None
    translated: bool = False
    sources: Sequence[str] | None = None
    annotations: Sequence[Annotated] | None = None
    catalogue: Catalogue | None = None

    def __len__(self) -> int:
        return int(self.images.shape[0])

    def numpy(self) -> np.ndarray:
        """The images as numpy uint8 [N, H, W, C]."""
        return self.images.permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def part(self, start: int, images: Tensor) -> Batch:
        """The samples from row ``start`` on that ``images``, uint8 [n, C, H, W], are the pixels of.

        ``self`` needs no pixels for that: its ``images`` may be on the device ``meta``.
        """
        rows = slice(start, start + len(images))
        labels = None if self.labels is None else self.labels[rows]
        sources = None if self.sources is None else self.sources[rows]
        annotations = None if self.annotations is None else self.annotations[rows]
        return replace(
            self,
            images=images,
            labels=labels,
            index=self.index[rows],
            sources=sources,
            annotations=annotations,
        )

    def label_name(self, row: int) -> str | None:
        """Class name of one sample, or None where there are no classes, or shares of several."""
        if self.labels is None or self.classes is None or self.labels.ndim == 2:
            return None
        return self.classes[int(self.labels[row])]

    @staticmethod
    def concatenate(batches: list[Batch]) -> Batch:
        """One batch of several that share seed and fingerprint (at least one)."""
        first = batches[0]
        if len(batches) == 1:
            return first
        labels = [batch.labels for batch in batches if batch.labels is not None]
        sources = [source for batch in batches for source in batch.sources or ()]
        annotations = [one for batch in batches for one in batch.annotations or ()]
        return replace(
            first,
            images=torch.cat([batch.images for batch in batches]),
            labels=torch.cat(labels) if labels else None,
            index=torch.cat([batch.index for batch in batches]),
            sources=sources or None,
            annotations=annotations or None,
        )
