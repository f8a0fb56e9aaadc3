from __future__ import annotations

import torch
from torch import nn

from synth.sampling.fold import fold_batch_norms


def trained(*layers: nn.Module) -> nn.Sequential:
    """Layers in evaluation mode whose norms have seen something."""
    torch.manual_seed(0)
    network = nn.Sequential(*layers)
    for _ in range(3):
        network(torch.randn(8, 4, 6, 6) * 3 + 1)
    return network.eval().requires_grad_(False)


def test_norms_after_convolutions_are_folded_and_nothing_changes():
    network = trained(
        nn.Conv2d(4, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Sequential(nn.ConvTranspose2d(8, 4, 4, 2, 1), nn.BatchNorm2d(4)),
    )
    x = torch.randn(3, 4, 6, 6)
    before = network(x)
    assert fold_batch_norms(network) == 2
    torch.testing.assert_close(network(x), before)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_norms_that_cannot_be_folded_stay():
    network = trained(
        nn.Conv2d(4, 4, 3),
        nn.ReLU(),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 4, 1),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.ConvTranspose2d(4, 4, 3, groups=2),
        nn.BatchNorm2d(4),
    )
    x = torch.randn(3, 4, 6, 6)
    before = network(x)
    assert fold_batch_norms(network) == 0
    torch.testing.assert_close(network(x), before)
