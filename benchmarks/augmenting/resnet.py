"""A ResNet-8 and its training: what the policies of the study are compared by."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synth.randomness import permutation, stream_id
from synth.sampling.device import resolve_device, resolve_precision

_ORDER = stream_id("benchmark/study order")
BATCH = 128
RATE, DECAY, MOMENTUM = 0.1, 5e-4, 0.9
"""Of SGD with Nesterov's momentum; the rate rises over the first tenth, and falls along a cosine."""
WIDTH = 32

Batches = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""Rows int64 [n] and an epoch to images, uint8 [n, C, H, W], and labels, int64 [n] or shares [n, K]."""


class Block(nn.Module):
    """Two convolutions beside the input, which is halved and padded with zeros where the width grows."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.stride = width // inputs
        self.conv1 = nn.Conv2d(inputs, width, 3, self.stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.stride > 1:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, h.shape[1] - x.shape[1]))
        return F.relu(h + x)


class ResNet8(nn.Module):
    """Of He et al. (arXiv 1512.03385, section 4.2) with n = 1: [N, C, H, W] to logits [N, classes].

    The first convolution has a stride of 2 and the width is doubled, which halves the time of a step: at full
    size memory is what it takes, and not arithmetic.
    """

    def __init__(self, channels: int, classes: int, width: int = WIDTH) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, width, 3, 2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(Block(width, width), Block(width, 2 * width), Block(2 * width, 4 * width))
        self.leave = nn.Linear(4 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.norm(self.enter(images))))
        logits: Tensor = self.leave(x.mean(dim=(2, 3)))
        return logits


def train(
    batches: Batches, count: int, channels: int, classes: int, *, seed: int, images_seen: int
) -> ResNet8:
    """Trained on ``count`` images, each epoch in another order; in bf16 where the processor has it."""
    steps = math.ceil(images_seen / BATCH)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ResNet8(channels, classes).to(memory_format=torch.channels_last)
    weights = [one for one in network.parameters() if one.ndim > 1]
    others = [one for one in network.parameters() if one.ndim == 1]
    groups = [{"params": weights, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.SGD(groups, lr=RATE, momentum=MOMENTUM, nesterov=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: share_of_rate(step / steps))
    step, epoch = 0, 0
    while step < steps:
        order = torch.from_numpy(permutation(seed, epoch, _ORDER, count))
        for rows in order.split(BATCH)[: steps - step]:
            images, labels = batches(rows, epoch)
            loss = F.cross_entropy(_logits(network, images), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            step += 1
        epoch += 1
    return network.eval()


def share_of_rate(done: float) -> float:
    """Of the greatest learning rate, when that share of the training is done."""
    return done / 0.1 if done < 0.1 else 0.5 + 0.5 * math.cos(math.pi * (done - 0.1) / 0.9)


@torch.inference_mode()
def accuracy(network: ResNet8, images: Tensor, labels: Tensor) -> float:
    """On images uint8 [N, C, H, W]."""
    found = [_logits(network, part).argmax(1) for part in images.split(1_000)]
    return float((torch.cat(found) == labels).float().mean())


def precision() -> str:
    """``bf16`` where the processor computes in it, otherwise ``32``."""
    return resolve_precision("auto", resolve_device("cpu"))


def _logits(network: ResNet8, images: Tensor) -> Tensor:
    scaled = (images.float() / 127.5 - 1.0).contiguous(memory_format=torch.channels_last)
    name = precision()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=name == "bf16"):
        logits: Tensor = network(scaled)
    return logits.float()
