"""From an artifact to a network that is ready to be run."""

from __future__ import annotations

import torch
from torch import nn

from synth.artifacts import Artifact
from synth.errors import ArtifactError, NotFoundError
from synth.families import get_family
from synth.models.program import ImageShape, Program, ReadsFiles
from synth.sampling.methods import Model
from synth.text import brief


def load_network(artifact: Artifact) -> nn.Module:
    """The family's network with the artifact's weights, in float32 on the CPU, frozen.

    Raises ArtifactError where the family is unknown to this version of synth, or the weights do not fit.
    """
    weights = artifact.weights()
    network = _empty_network(artifact)
    try:
        network.load_state_dict(weights, strict=True, assign=True)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _misfit(artifact, error) from error
    if isinstance(network, ReadsFiles):
        network.read_files(artifact.files())
    return network.requires_grad_(False).float().eval()


def load_outline(artifact: Artifact) -> Program:
    """The program over a network without weights: it computes nothing, and tells what it would do."""
    program: Program = get_family(artifact.manifest.family).load("program")(_empty_network(artifact))
    return program


def _empty_network(artifact: Artifact) -> nn.Module:
    manifest = artifact.manifest
    try:
        family = get_family(manifest.family)
    except NotFoundError as error:
        raise ArtifactError(
            f"{artifact.path} is of the family {manifest.family!r}, which this version of synth "
            "does not know. Upgrade synth."
        ) from error
    try:
        # On the meta device nothing is allocated or initialised that the weights replace anyway.
        with torch.device("meta"):
            network: nn.Module = family.load("network")(manifest.network, *_trained_for(artifact))
    except (LookupError, ArithmeticError, TypeError, ValueError, RuntimeError) as error:
        raise _misfit(artifact, error) from error
    return network


def _misfit(artifact: Artifact, error: Exception) -> ArtifactError:
    return ArtifactError(
        f"The weights in {artifact.path} do not fit the network that its manifest describes "
        f"({brief(error)}). Restore the folder from a copy, or train the model again."
    )


def load_model(artifact: Artifact) -> Model:
    """The network with its program; UsageError where it makes no images, and as ``load_network``."""
    artifact.require_images()
    network = load_network(artifact)
    return Model(network, get_family(artifact.manifest.family).load("program"), *_trained_for(artifact))


def _trained_for(artifact: Artifact) -> tuple[ImageShape, int]:
    """Shape of the images, and number of classes."""
    manifest = artifact.manifest
    shape = ImageShape(manifest.image.channels, manifest.image.height, manifest.image.width)
    return shape, len(manifest.classes or ())
