from collections.abc import Callable, Sequence

import pytest
import torch

from synth.batch import Batch, Fingerprint
from synth.randomness import bits, stream_id


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Batches whose pixels are a function of (seed, index) alone; labels count up with the index."""

    def make(
        start: int = 0,
        count: int = 4,
        *,
        seed: int = 7,
        channels: int = 3,
        classes: Sequence[str] | None = ("cat", "dog"),
        device: str = "cpu",
    ) -> Batch:
        index = torch.arange(start, start + count)
        pixels = bits(seed, index, stream_id("test"), channels * 4 * 5) & 255
        return Batch(
            images=pixels.to(torch.uint8).reshape(count, channels, 4, 5),
            labels=None if classes is None else index % len(classes),
            index=index,
            seed=seed,
            fingerprint=Fingerprint("pets@2", "ab" * 32, "2.11", device, "32", "fast"),
            classes=None if classes is None else tuple(classes),
            parameters={"temperature": 0.5},
        )

    return make
