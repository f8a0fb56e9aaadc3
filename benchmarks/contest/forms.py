"""The model as the other servers get it: as a user writes it, or as the tuned sampler."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from pydantic import BaseModel

from synth.artifacts import Store
from synth.models.vae import VAE
from synth.sampling import Sampler
from synth.sampling.load import load_model
from synth.sampling.rows import Rows


class Wanted(BaseModel):
    """The body of a request, for every server the same."""

    count: int
    seed: int = 0
    start: int = 0


class Form(Protocol):
    """Makes the images of several requests in one batch."""

    def generate(self, wanted: Sequence[Wanted]) -> list[bytes]:
        """uint8 [count, H, W, C] of each request, as bytes."""
        ...


class Eager:
    """The decoder in float32 as PyTorch runs it, with torch's own noise: what most people would write."""

    def __init__(self, artifact: Path, device: str) -> None:
        network = load_model(Store().open(artifact)).network.to(device)
        assert isinstance(network, VAE)
        self._decoder, self._latent, self._classes = network.decoder, network.latent, network.classes
        self._device = device

    @torch.inference_mode()
    def generate(self, wanted: Sequence[Wanted]) -> list[bytes]:
        z = torch.cat([self._noise(one) for one in wanted]).to(self._device)
        labels = torch.cat([torch.arange(one.start, one.start + one.count) for one in wanted])
        images = self._decoder(z, labels.to(self._device) % self._classes)
        pixels = images.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
        return split(pixels.cpu(), wanted)

    def _noise(self, one: Wanted) -> torch.Tensor:
        generator = torch.Generator().manual_seed(one.seed + one.start)
        return torch.randn(one.count, self._latent, generator=generator)


class Tuned:
    """The project's sampler core. It belongs to one thread at a time, so that threads take turns."""

    def __init__(self, artifact: Path, device: str) -> None:
        self._sampler = Sampler.open(artifact, device=device)
        self._turn = threading.Lock()

    def generate(self, wanted: Sequence[Wanted]) -> list[bytes]:
        works = [self._sampler.plan(one.count, seed=one.seed, start=one.start) for one in wanted]
        rows = Rows.join([work.rows for work in works])
        with self._turn:
            pixels = self._sampler.run(rows, "fast", works[0].parameters)
        return split(pixels, wanted)


FORMS: dict[str, type[Eager] | type[Tuned]] = {"eager": Eager, "tuned": Tuned}


def split(pixels: torch.Tensor, wanted: Sequence[Wanted]) -> list[bytes]:
    """uint8 [N, C, H, W] of several requests to the bytes [count, H, W, C] of each."""
    images = pixels.permute(0, 2, 3, 1).contiguous()
    return [part.numpy().tobytes() for part in images.split([one.count for one in wanted])]
