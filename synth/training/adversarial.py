"""The adversarial part of translators: least squares, an image pool, and judges that see augmented images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from synth.models.translation import PatchJudge
from synth.randomness import permutation, uniforms
from synth.training.diffaugment import augment


class Verdict(NamedTuple):
    """Losses of the generator whose images were judged, and of the judge."""

    generator: Tensor
    judge: Tensor


class Augmentation(NamedTuple):
    """What is changed in the images that judges see, see ``synth.training.diffaugment``."""

    share: float
    seed: int
    position: Tensor

    def of(self, images: Tensor, stream: int) -> Tensor:
        return augment(images, self.share, seed=self.seed, position=self.position, stream=stream)


def verdict(judge: PatchJudge, real: Tensor, fake: Tensor, old: Tensor) -> Verdict:
    """Least squares (Mao et al., arXiv 1611.04076): real patches score 1, and others 0.

    One graph holds both losses, so that one backward pass serves both: where the generator learns, the
    judge's weights are held, and where the judge learns, the images are.

    Args:
        real, fake, old: float [N, C, H, W]; ``fake`` has gradients, and ``old`` is what the judge is to learn
            from in its place: itself, or what the pool gave for it.
    """
    fooled = _held(judge, fake)
    real_scores, old_scores = judge(torch.cat([real, old.detach()])).chunk(2)
    return Verdict(
        generator=(fooled - 1.0).square().mean(),
        judge=0.5 * ((real_scores - 1.0).square().mean() + old_scores.square().mean()),
    )


def _held(network: nn.Module, images: Tensor) -> Tensor:
    """The network's output, through which no gradient gets to its weights."""
    weights = {name: weight.detach() for name, weight in network.named_parameters()}
    output: Tensor = functional_call(network, weights, (images,))
    return output


class Pool(nn.Module):
    """Earlier generated images, of which judges see some (Shrivastava et al., arXiv 1612.07828).

    Half of what comes in is exchanged for what came earlier. Which, is decided by keys, and the images are
    buffers, so that a resumed run goes on with the same ones.
    """

    images: Tensor
    filled: Tensor

    def __init__(self, size: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, *shape, dtype=torch.uint8))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def exchange(self, fresh: Tensor, *, seed: int, position: Tensor, stream: int) -> Tensor:
        """float32 [N, C, H, W] in [-1, 1], each of ``fresh`` or in its place an earlier one.

        ``position`` int64 [N] is the place of each image in the run.
        """
        filled, given = int(self.filled), fresh.clone()
        new = min(len(self.images) - filled, len(fresh))
        self.images[filled : filled + new] = _bytes(fresh[:new])
        self.filled.fill_(filled + new)
        # No image stands for two of a batch, nor gives its place to two: slots are drawn without repetition.
        slots = permutation(seed, int(position[0]), stream, filled)[: len(fresh) - new]
        rows = torch.arange(new, new + len(slots), device=fresh.device)
        chosen = uniforms(seed, position[rows], stream, 1)[:, 0] < 0.5
        rows, taken = rows[chosen], torch.from_numpy(slots).to(fresh.device)[chosen]
        given[rows] = self.images[taken].to(fresh.dtype) / 127.5 - 1.0
        self.images[taken] = _bytes(fresh[rows])
        return given


def _bytes(images: Tensor) -> Tensor:
    return images.float().add(1.0).mul(127.5).round().clamp_(0, 255).to(torch.uint8)


def optimiser_of(
    generators: Iterable[nn.Parameter],
    helpers: Iterable[nn.Parameter],
    *,
    rate: float,
    decay: float,
    fused: bool,
) -> torch.optim.AdamW:
    """One for all networks, with the short memory of the first moment that adversaries need."""
    groups = [{"params": list(generators)}, {"params": list(helpers)}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.5, 0.99), weight_decay=decay, fused=fused)


def falling(rate: float, progress: float, *, warmup: float, decay: float) -> float:
    """A linear rise, the full rate, and over the last ``decay`` of the training a fall to a fiftieth."""
    rise = min(1.0, (progress + 1e-4) / max(warmup, 1e-4))
    return rate * rise * max(0.02, min(1.0, (1.0 - progress) / max(decay, 1e-4)))
