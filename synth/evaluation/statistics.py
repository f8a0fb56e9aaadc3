"""What images look like in plain numbers: brightness, contrast, sharpness and colour of each one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from synth.errors import SourceError

COLOURS = ("red", "green", "blue")
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""
_CHUNK_VALUES = 2**23
"""Pixel values at a time, in float32."""
_LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


@torch.inference_mode()
def image_statistics(images: Tensor) -> dict[str, np.ndarray]:
    """float64 [N] by name, of uint8 [N, C, H, W] with C 1 (grey) or 3 (RGB) and 255 as 1.

    ``brightness`` and ``contrast`` are mean and standard deviation of the luma; ``sharpness`` is the standard
    deviation of its Laplacian, which images of less than 3 x 3 pixels do not have. Images in colour have
    ``red_mean``, ``red_std`` and so on besides.

    Raises SourceError for anything else.
    """
    shape = list(images.shape)
    if images.dtype != torch.uint8 or len(shape) != 4 or shape[1] not in (1, 3) or 0 in shape[2:]:
        dtype = str(images.dtype).removeprefix("torch.")
        raise SourceError(f"Images are uint8 [N, 1 or 3, H, W], not {dtype} {shape}.")
    if not shape[0]:
        one = image_statistics(torch.zeros(1, *shape[1:], dtype=torch.uint8))
        return {name: values[:0] for name, values in one.items()}
    step = max(1, _CHUNK_VALUES // images[0].numel())
    parts = [_of_chunk(images[at : at + step]) for at in range(0, shape[0], step)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _of_chunk(images: Tensor) -> dict[str, np.ndarray]:
    values = images.to(torch.float32) / 255.0
    luma = values[:, 0]
    if images.shape[1] == 3:
        luma = torch.einsum("nchw,c->nhw", values, torch.tensor(LUMA, device=values.device))
    found = {"brightness": luma.mean(dim=(1, 2)), "contrast": luma.std(dim=(1, 2), correction=0)}
    if min(luma.shape[1:]) >= 3:
        kernel = torch.tensor(_LAPLACIAN, device=luma.device)[None, None]
        found["sharpness"] = F.conv2d(luma[:, None], kernel).std(dim=(1, 2, 3), correction=0)
    if images.shape[1] == 3:
        for name, channel in zip(COLOURS, values.unbind(dim=1), strict=True):
            found[f"{name}_mean"] = channel.mean(dim=(1, 2))
            found[f"{name}_std"] = channel.std(dim=(1, 2), correction=0)
    return {name: value.double().cpu().numpy() for name, value in found.items()}
