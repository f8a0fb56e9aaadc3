"""From what the user wrote to an extractor: the features that figures are computed in.

Networks come from the store or from files that the user names; nothing is downloaded, and a file of weights
is never run as code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from synth.artifacts import Artifact, Store
from synth.errors import ConfigError, SourceError, UsageError
from synth.evaluation.extractor import Extractor
from synth.evaluation.outer import OUTER, outer_network
from synth.evaluation.preprocessing import RANDOM
from synth.evaluation.weights import weights_digest
from synth.models.encoder import Encoder
from synth.models.program import ImageShape
from synth.randomness import stream_id, uniforms
from synth.sampling import resolve_device
from synth.sampling.load import load_network
from synth.text import closest

_CHUNK = 250
_RANDOM = stream_id("evaluation/random-network")
_RANDOM_CONFIG = {"stem": 32, "widths": [32, 64, 128], "blocks": 1}


@dataclass(frozen=True)
class NetworkExtractor:
    """A frozen network behind a fixed preprocessing; it computes in float32, so that devices agree.

    Attributes:
        name: for people.
        digest: SHA-256 of weights, architecture and preprocessing.
        dimensions: D of the features.
        distance: what the Frechet distance in these features is called: ``fd`` and the network's name.
    """

    name: str
    digest: str
    dimensions: int
    distance: str
    network: nn.Module
    prepare: Callable[[Tensor], Tensor]
    device: torch.device
    shape: tuple[int, int, int] | None = None
    """The only [C, H, W] it takes; None takes all."""

    @torch.inference_mode()
    def features(self, images: Tensor) -> Tensor:
        """float32 [N, D] on the CPU, of uint8 [N, C, H, W]; see ``Extractor``."""
        if images.ndim != 4 or images.dtype != torch.uint8 or images.shape[1] not in (1, 3):
            raise SourceError(
                f"An extractor takes uint8 images [N, 1 or 3, H, W], not {images.dtype} {list(images.shape)}."
            )
        if self.shape is not None and tuple(images.shape[1:]) != self.shape:
            takes, given = ImageShape(*self.shape), ImageShape(*images.shape[1:])
            raise SourceError(
                f"{self.name} takes images of {takes}, and these are {given}. Load them with that size and "
                "those channels, or train an encoder on images like these."
            )
        parts = [torch.empty(0, self.dimensions)]
        for at in range(0, len(images), _CHUNK):
            batch = self.prepare(images[at : at + _CHUNK].to(self.device))
            parts.append(self.network(batch).float().cpu())
        return torch.cat(parts)


def open_extractor(spec: str | Path, *, store: Store | None = None, device: str = "auto") -> Extractor:
    """The extractor that ``spec`` means.

    Args:
        spec: an encoder of the store (``NAME``, ``NAME@3``) or the path of its folder; ``random``, an
            untrained network to compare with; or ``efficientnet-lite0:PATH``, ``inception:PATH`` or
            ``dinov2:PATH`` with the weights in a local file.
        store: by default the one in SYNTH_HOME.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        NotFoundError: no such model or file.
        UsageError: a model that is no encoder.
        ConfigError: a network that is not known, or without a path.
        SourceError: a file that does not hold that network's weights.
        ArtifactError: a damaged encoder.
    """
    target = resolve_device(device)
    kind, colon, path = str(spec).partition(":")
    if isinstance(spec, str) and spec == "random":
        return random_extractor(target)
    if isinstance(spec, str) and kind in OUTER:
        if not colon or not path:
            raise ConfigError(f"Say where the weights of {kind} lie: {kind}:PATH. Nothing is downloaded.")
        return outer_extractor(kind, Path(path).expanduser(), target)
    if isinstance(spec, str) and colon and not Path(spec).expanduser().exists():
        raise ConfigError(
            f"There is no extractor {kind!r}{closest(kind, OUTER)}. Name an encoder of the store, random, or "
            f"{', '.join(f'{name}:PATH' for name in OUTER)}."
        )
    return encoder_extractor((store or Store()).open(spec), target)


def encoder_extractor(artifact: Artifact, device: torch.device) -> NetworkExtractor:
    """The features of a trained encoder; UsageError where the artifact is another kind of model."""
    manifest = artifact.manifest
    if manifest.family != "encoder":
        raise UsageError(
            f"{manifest.reference} is a {manifest.family}, which has no features to compare images in. "
            "Make an encoder: synth train encoder --data SOURCE --name NAME."
        )
    image = manifest.image
    network = load_network(artifact)
    assert isinstance(network, Encoder)
    return NetworkExtractor(
        name=f"encoder {manifest.reference}",
        digest=_digest("encoder", manifest.digest),
        dimensions=network.dimensions,
        distance=f"fd_{manifest.name}",
        network=_frozen(network, device),
        prepare=_centred,
        device=device,
        shape=(image.channels, image.height, image.width),
    )


def random_extractor(device: torch.device, seed: int = 0) -> NetworkExtractor:
    """An encoder with random weights: what features are worth without any training.

    Images of all shapes are taken, grey as RGB.
    """
    network = Encoder(_RANDOM_CONFIG, ImageShape(3, 32, 32))
    for number, weight in enumerate(network.parameters()):
        if weight.ndim > 1:
            # As He et al. initialise, so that the variance of the activations stays from layer to layer; but
            # uniformly, since normals may differ in the last place between machines, and so would the digest.
            drawn = uniforms(seed, torch.tensor([number]), _RANDOM, weight.numel()).reshape(weight.shape)
            weight.data = (2.0 * drawn - 1.0) * (6.0 / weight[0].numel()) ** 0.5
    return NetworkExtractor(
        name="random network",
        digest=_digest("random", weights_digest(network), RANDOM.text),
        dimensions=network.dimensions,
        distance="fd_random",
        network=_frozen(network, device),
        prepare=RANDOM,
        device=device,
    )


def outer_extractor(kind: str, path: Path, device: torch.device) -> NetworkExtractor:
    """A network from elsewhere, with the weights in a local file; see ``synth.evaluation.outer``."""
    outer = OUTER[kind]
    network, dimensions = outer_network(kind, path)
    return NetworkExtractor(
        name=kind,
        digest=_digest(kind, weights_digest(network), outer.preprocessing.text),
        dimensions=dimensions,
        distance=outer.distance,
        network=_frozen(network, device),
        prepare=outer.preprocessing,
        device=device,
    )


def _centred(images: Tensor) -> Tensor:
    """As training sees them: float32 in [-1, 1]."""
    return (images.to(torch.float32) / 127.5 - 1.0).contiguous(memory_format=torch.channels_last)


def _frozen(network: nn.Module, device: torch.device) -> nn.Module:
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.requires_grad_(False).eval()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
