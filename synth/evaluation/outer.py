"""Networks from elsewhere that images can be compared in, with weights from a local file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from synth.errors import SourceError
from synth.evaluation.preprocessing import DINOV2, EFFICIENTNET_LITE0, INCEPTION, Preprocessing
from synth.evaluation.weights import fill, read_weights
from synth.models.dinov2 import DINOv2
from synth.models.efficientnet import DIMENSIONS, EfficientNetLite0
from synth.text import brief

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Outer:
    """One kind of network: how it is built for weights, and what it is shown."""

    title: str
    build: Callable[[Weights], tuple[nn.Module, Weights, int]]
    """From the weights of a file to an empty network, what is to be loaded, and the dimensions.

    Raises KeyError or ValueError where the weights are of another kind of network.
    """
    preprocessing: Preprocessing
    distance: str
    """What the Frechet distance in these features is called; FID is that of yet another network."""


def outer_network(kind: str, path: Path) -> tuple[nn.Module, int]:
    """The network of that kind with the weights in ``path``, and its dimensions.

    Raises NotFoundError where there is no such file, SourceError where it does not hold such weights.
    """
    outer = OUTER[kind]
    weights = read_weights(path)
    try:
        network, kept, dimensions = outer.build(weights)
    except (KeyError, ValueError, IndexError) as error:
        raise SourceError(f"{path} does not hold the weights of {outer.title} ({brief(error)}).") from error
    fill(network, kept, path, outer.title)
    return network, dimensions


def _efficientnet(weights: Weights) -> tuple[nn.Module, Weights, int]:
    """The published names begin with ``_`` at each level; the classifier is left out."""
    named = {re.sub(r"(^|\.)_", r"\1", name): tensor for name, tensor in weights.items()}
    return EfficientNetLite0(), _without(named, "fc."), DIMENSIONS


def _inception(weights: Weights) -> tuple[nn.Module, Weights, int]:
    """torchvision's inception_v3 without its classifiers."""
    from torchvision.models import inception_v3

    if weights["fc.weight"].shape[0] == 1008:
        raise ValueError("these are TensorFlow's weights, which pool differently; give torchvision's")
    network = inception_v3(weights=None, aux_logits=False, init_weights=False, transform_input=False)
    network.fc = nn.Identity()
    return network, _without(weights, "fc.", "AuxLogits."), 2048


def _dinov2(weights: Weights) -> tuple[nn.Module, Weights, int]:
    network = DINOv2.like(weights)
    return network, weights, network.norm.normalized_shape[0]


def _without(weights: Mapping[str, Tensor], *prefixes: str) -> Weights:
    return {name: tensor for name, tensor in weights.items() if not name.startswith(prefixes)}


OUTER: Mapping[str, Outer] = {
    "efficientnet-lite0": Outer("EfficientNet-Lite0", _efficientnet, EFFICIENTNET_LITE0, "fd_efflite0"),
    "inception": Outer("torchvision's inception_v3", _inception, INCEPTION, "fd_inception"),
    "dinov2": Outer("a DINOv2 of size S, B or L", _dinov2, DINOV2, "fd_dinov2"),
}
