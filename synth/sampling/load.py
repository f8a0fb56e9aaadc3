"""From an artifact to a program on a device."""

from __future__ import annotations

import torch
from torch import nn

from synth.artifacts import Artifact
from synth.errors import ArtifactError, NotFoundError
from synth.families import get_family
from synth.models.program import ImageShape, Program
from synth.text import brief


def load_program(artifact: Artifact, device: torch.device, dtype: torch.dtype) -> Program:
    """Build the family's network, fill it with the artifact's weights and cast it once to ``dtype``.

    Raises ArtifactError where the family is unknown to this version of synth, or the weights do not fit.
    """
    manifest = artifact.manifest
    try:
        family = get_family(manifest.family)
    except NotFoundError as error:
        raise ArtifactError(
            f"{artifact.path} is of the family {manifest.family!r}, which this version of synth "
            "does not know. Upgrade synth."
        ) from error
    shape = ImageShape(manifest.image.channels, manifest.image.height, manifest.image.width)
    weights = artifact.weights()
    try:
        # On the meta device nothing is allocated or initialised that the weights replace anyway.
        with torch.device("meta"):
            network: nn.Module = family.load("network")(manifest.network, shape, len(manifest.classes or ()))
        network.load_state_dict(weights, strict=True, assign=True)
    except (LookupError, ArithmeticError, TypeError, ValueError, RuntimeError) as error:
        raise ArtifactError(
            f"The weights in {artifact.path} do not fit the network that its manifest describes "
            f"({brief(error)}). Restore the folder from a copy, or train the model again."
        ) from error
    network.requires_grad_(False).eval()
    cast(network, dtype)
    program: Program = family.load("program")(network.to(device))
    return program


def cast(network: nn.Module, dtype: torch.dtype) -> None:
    """Turn all floating-point weights into ``dtype``; modules with ``full_precision = True`` stay."""
    if getattr(network, "full_precision", False):
        return
    for tensor in (*network.parameters(recurse=False), *network.buffers(recurse=False)):
        if tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype)
    for child in network.children():
        cast(child, dtype)
