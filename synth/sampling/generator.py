"""What a local sampler and a remote model both are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from torch import Tensor

from synth.artifacts import ModelCard
from synth.batch import Batch, Mode
from synth.labels import Labels
from synth.models.program import AnyParameter
from synth.sampling.pictures import Embedded, Picture

Images = Tensor | np.ndarray
"""uint8 [N, C, H, W] as a tensor, or uint8 [N, H, W, C] as a numpy array."""
Value = float | str | Picture | Sequence[Picture] | Embedded
"""Of a parameter, as it is given: a number, a text, or pictures."""


class Generator(Protocol):
    """Makes samples by key. The same key, label and parameters give the same image, whatever the batch."""

    @property
    def card(self) -> ModelCard:
        """Name, version, image shape, classes and origin of the model."""

    @property
    def parameters(self) -> tuple[AnyParameter, ...]:
        """The sampling parameters that ``generate`` and ``translate`` take by name."""

    def generate(
        self,
        count: int,
        *,
        labels: Labels = "any",
        seed: int = 0,
        start: int = 0,
        mode: Mode = "fast",
        **parameters: float | str,
    ) -> Batch:
        """``count`` samples with the keys (seed, start) to (seed, start + count - 1)."""

    def translate(
        self,
        images: Images,
        *,
        labels: Labels | None = None,
        seed: int = 0,
        start: int = 0,
        mode: Mode = "fast",
        **parameters: Value,
    ) -> Batch:
        """One sample for each image."""

    def stream(
        self,
        *,
        batch_size: int,
        labels: Labels = "any",
        seed: int = 0,
        start: int = 0,
        mode: Mode = "fast",
        **parameters: float | str,
    ) -> Iterator[Batch]:
        """Batches without end; the first sample has the key (seed, start)."""
