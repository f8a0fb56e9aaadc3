"""Weights of networks from elsewhere, read from a file that the user names."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from synth.errors import NotFoundError, SourceError
from synth.text import brief, some

_WRAPPERS = ("state_dict", "model", "module")
"""Keys under which training scripts put the weights."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """All tensors by name from a safetensors file or a torch state dict; nothing in the file is run.

    Raises NotFoundError where there is no such file, SourceError where it holds no weights.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}. Give the path of the weights; nothing is downloaded.")
    try:
        if path.suffix == ".safetensors":
            content: object = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise SourceError(
            f"{path} is neither a safetensors file nor a torch state dict that is weights alone "
            f"({brief(error)}). Save the network's state_dict(), not the network."
        ) from error
    except OSError as error:
        raise SourceError(f"Cannot read {path}: {error.strerror or error}.") from error
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise SourceError(f"{path} holds no weights by name. Give a state dict.")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if len(tensors) < len(content):
        raise SourceError(f"{path} holds more than weights. Give a state dict.")
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


def fill(network: nn.Module, weights: Mapping[str, Tensor], path: Path, what: str) -> None:
    """Load the weights into the network; SourceError, with what does not fit, where they are of another."""
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in weights and not name.endswith("num_batches_tracked")]
    unlike = [
        name for name, tensor in weights.items() if name in wanted and tensor.shape != wanted[name].shape
    ]
    unknown = [name for name in weights if name not in wanted]
    if missing or unlike or unknown:
        faults = (("missing", missing), ("of another shape", unlike), ("unknown", unknown))
        found = "; ".join(f"{fault}: {some(names, 3)}" for fault, names in faults if names)
        raise SourceError(f"{path} does not hold the weights of {what} ({found}).")
    if not all(bool(torch.isfinite(tensor.float()).all()) for tensor in weights.values()):
        raise SourceError(f"{path} holds weights that are NaN or infinite. Get the file again.")
    network.load_state_dict(dict(weights), strict=False)


def weights_digest(network: nn.Module) -> str:
    """SHA-256 over names, shapes and values, whatever file they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        if name.endswith("num_batches_tracked"):
            continue
        digest.update(f"{name} {tuple(tensor.shape)}:".encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()
