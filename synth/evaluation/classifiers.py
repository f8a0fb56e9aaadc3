"""Classifiers of the store, to be asked what images show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from synth.artifacts import Artifact, Store
from synth.data import ImageSet, Source, load_images
from synth.errors import LabelError, UsageError
from synth.sampling import resolve_device
from synth.sampling.load import load_network
from synth.text import some

_CHUNK = 500


@torch.no_grad()
def class_probabilities(network: nn.Module, images: Tensor, device: torch.device) -> Tensor:
    """float32 [N, K] on the CPU, of uint8 [N, C, H, W]; leaves the network in evaluation."""
    network.eval()
    parts = [network(pixels_of(part, device)).float().cpu() for part in torch.split(images, _CHUNK)]
    return torch.cat(parts).softmax(dim=1)


def pixels_of(images: Tensor, device: torch.device) -> Tensor:
    """uint8 [N, C, H, W] as training sees them: float32 in [-1, 1]."""
    pixels = images.to(device).to(torch.float32) / 127.5 - 1.0
    return pixels.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Opinions:
    """A published classifier on a device."""

    artifact: Artifact
    network: nn.Module
    device: torch.device

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by number."""
        return tuple(self.artifact.manifest.classes or ())

    def load(self, source: Source) -> ImageSet:
        """All images of a source at the size and with the channels that the classifier takes."""
        image = self.artifact.manifest.image
        return load_images(source, size=(image.height, image.width), channels=image.channels)

    def probabilities(self, images: Tensor) -> Tensor:
        """float32 [N, K] of uint8 [N, C, H, W] as ``load`` gives them."""
        return class_probabilities(self.network, images, self.device)

    def numbers(self, classes: Sequence[str], what: str) -> Tensor:
        """int64 [len(classes)]: the classifier's number of each of these class names.

        Raises LabelError, with the names, where it does not know one of them.
        """
        foreign = [name for name in classes if name not in self.classes]
        if foreign:
            raise LabelError(
                f"{what} has classes that {self.artifact.manifest.reference} does not know: {some(foreign)}. "
                f"It tells {some(self.classes)}. Name the classes alike, or use another classifier."
            )
        return torch.tensor([self.classes.index(name) for name in classes])


def open_classifier(
    reference: str | Path | Artifact, *, store: Store | None = None, device: str = "auto"
) -> Opinions:
    """A classifier of the store (``NAME``, ``NAME@3``), the path of its folder, or one that was opened.

    Raises:
        NotFoundError: there is no such model.
        UsageError: a model that is no classifier.
        ArtifactError: a damaged one.
    """
    artifact = reference if isinstance(reference, Artifact) else (store or Store()).open(reference)
    manifest = artifact.manifest
    if manifest.family != "classifier":
        raise UsageError(
            f"{manifest.reference} is of the family {manifest.family} and tells no classes. Make a "
            "classifier: synth train classifier --data SOURCE --name NAME."
        )
    target = resolve_device(device)
    network = load_network(artifact).to(target)
    return Opinions(artifact, network.to(memory_format=torch.channels_last), target)
