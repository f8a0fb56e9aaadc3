"""Exact simplifications of a network that is only going to be run."""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(network: nn.Module) -> int:
    """Fold each batch normalisation that directly follows a convolution in a Sequential into it, in place.

    In evaluation mode such a pair is one affine map, so the convolution can do both. Only neighbours in a
    ``Sequential`` are known to follow each other; other norms depend on the input and stay. To be called in
    float32, before the weights are cast.

    Returns:
        How many were folded.
    """
    folded = sum(fold_batch_norms(child) for child in network.children())
    if not isinstance(network, nn.Sequential):
        return folded
    names = list(network._modules)
    for name, following in pairwise(names):
        conv, norm = network._modules[name], network._modules[following]
        if (
            isinstance(conv, (nn.Conv2d, nn.ConvTranspose2d))
            and isinstance(norm, nn.BatchNorm2d)
            and norm.track_running_stats
        ):
            transposed = isinstance(conv, nn.ConvTranspose2d)
            if transposed and conv.groups > 1:  # torch folds these wrongly
                continue
            network._modules[name] = fuse_conv_bn_eval(conv, norm, transpose=transposed)
            network._modules[following] = nn.Identity()
            folded += 1
    return folded
