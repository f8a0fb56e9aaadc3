"""A classifier at rest: evaluated, without gradients of its own, and afterwards as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def at_rest(network: nn.Module) -> Iterator[None]:
    """Within, ``network`` is in evaluation, its weights take no gradients, and images may.

    Afterwards, after an error too, each module is in training or in evaluation as it was before, and each
    weight takes gradients or none as before. Statistics and gradients of the network are never written.
    """
    modes = [(module, module.training) for module in network.modules()]
    learnt = [weight for weight in network.parameters() if weight.requires_grad]
    try:
        network.eval()
        for weight in learnt:
            weight.requires_grad_(False)
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        for weight in learnt:
            weight.requires_grad_(True)
