"""Utility: how well a classifier does on real images after training on a given set.

Train on synthetic, test on real (TSTR; Esteban, Hyland and Rätsch, arXiv 1706.02633): the accuracy on real
test images of a classifier that has only seen synthetic ones, beside that of one trained on real ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from synth.errors import SourceError
from synth.models.classifier import SmallCNN
from synth.models.program import ImageShape
from synth.randomness import permutation, stream_id
from synth.sampling import resolve_device, resolve_precision
from synth.sampling.device import DTYPES

_ORDER = stream_id("evaluation/order")
_BATCH = 128
_CHUNK = 1_000
_RATE = 1.5e-3

Augment = Callable[[Tensor, int, Tensor], Tensor]
"""Changes float images [N, C, H, W] in [-1, 1], given a seed and the index int64 [N] of each draw."""


@dataclass(frozen=True)
class Scores:
    """Accuracy on a test set, and recall per class (NaN for classes that it lacks)."""

    accuracy: float
    per_class: tuple[float, ...]


def train_classifier(
    images: Tensor,
    labels: Tensor,
    classes: int,
    *,
    seed: int,
    images_seen: int = 300_000,
    device: str = "auto",
    augment: Augment | None = None,
    width: int = 32,
) -> SmallCNN:
    """Train the project's small CNN by cross-entropy with AdamW, warm-up and linear decay.

    Args:
        images: uint8 [N, C, H, W], at least 4 x 4 pixels.
        labels: int64 [N].
        classes: number of classes.
        seed: of weights, order and dropout.
        images_seen: length of training, the same for every set that is compared.
        augment: changes each batch anew; an image that comes again has another index.
        width: of the network; the published figures are those of 32.

    Raises:
        SourceError: no images, or smaller than 4 x 4.
    """
    if not len(images) or min(images.shape[2:]) < 4:
        raise SourceError(f"A classifier needs images of at least 4 x 4 pixels, not {list(images.shape)}.")
    target = resolve_device(device)
    dtype = DTYPES[resolve_precision("auto", target)]
    steps = math.ceil(images_seen / _BATCH)
    with torch.random.fork_rng(devices=[target] if target.type == "cuda" else []):
        torch.manual_seed(seed)
        network = SmallCNN(ImageShape(*images.shape[1:]), classes, width).to(target)
        network.to(memory_format=torch.channels_last)
        optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-2, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min(1.0, (step + 1) / 50) * (1.0 - step / steps)
        )
        order = np.empty(0, dtype=np.int64)
        epoch = 0
        for step in range(steps):
            while len(order) < _BATCH:  # a small set is gone through more than once for a batch
                order = np.concatenate([order, permutation(seed, epoch, _ORDER, len(images))])
                epoch += 1
            rows, order = torch.from_numpy(order[:_BATCH]), order[_BATCH:]
            batch = images[rows].to(target).float() / 127.5 - 1.0
            if augment is not None:
                batch = augment(batch, seed, torch.arange(step * _BATCH, step * _BATCH + len(rows)))
            batch = batch.contiguous(memory_format=torch.channels_last)
            with torch.autocast(target.type, dtype=dtype, enabled=dtype is not torch.float32):
                logits = network(batch)
            loss = F.cross_entropy(logits, labels[rows].to(target))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return network.eval()


@torch.inference_mode()
def predict_classifier(network: SmallCNN, images: Tensor) -> Tensor:
    """Probability of each class, float32 [N, classes] on the CPU, for uint8 images [N, C, H, W]."""
    return torch.cat([network(batch).cpu() for batch in _batches(network, images)]).softmax(dim=1)


@torch.inference_mode()
def classifier_features(network: SmallCNN, images: Tensor) -> Tensor:
    """float32 [N, 128] on the CPU for uint8 images [N, C, H, W]: to compare images of its domain in."""
    return torch.cat([network.features(batch).float().cpu() for batch in _batches(network, images)])


def _batches(network: SmallCNN, images: Tensor) -> Iterator[Tensor]:
    """Float images in [-1, 1] where the network is."""
    device = next(network.parameters()).device
    for part in torch.split(images, _CHUNK):
        batch = part.to(device).float() / 127.5 - 1.0
        yield batch.contiguous(memory_format=torch.channels_last)


def score_classifier(network: SmallCNN, images: Tensor, labels: Tensor) -> Scores:
    """Accuracy and recall per class on uint8 images [N, C, H, W] with int64 labels [N]."""
    predicted = predict_classifier(network, images)
    right = predicted.argmax(dim=1) == labels
    per_class = tuple(float(right[labels == number].float().mean()) for number in range(predicted.shape[1]))
    return Scores(float(right.float().mean()), per_class)
