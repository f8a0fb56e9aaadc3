"""Values of targets, read from the forms that they come in."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from synth.errors import SourceError
from synth.text import brief

_MATRIX, _STACK = 2, 3


def numbers(target: Mapping[str, Any], key: str, count: int, name: str) -> Tensor | None:
    """int64 [count] under ``key``, or None where there is no such key; SourceError for another length."""
    if key not in target:
        return None
    found = _tensor(target[key], torch.int64, f"The {key} of {name}")
    if found.shape != (count,):
        raise SourceError(f"The {key} of {name} are {[*found.shape]}, and {count} are wanted, one for each.")
    return found


def table(values: Any, columns: int, what: str) -> Tensor:
    """float32 [n, columns]; SourceError for what is none."""
    found = _tensor(values, torch.float32, what)
    if found.numel() and (found.ndim != _MATRIX or found.shape[1] != columns):
        raise SourceError(f"{what} are {[*found.shape]}, where [n, {columns}] is wanted.")
    return found.reshape(-1, columns)


def _tensor(values: Any, dtype: torch.dtype, what: str) -> Tensor:
    try:
        return torch.as_tensor(values, dtype=dtype)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SourceError(f"{what} are no table of numbers ({brief(error)}).") from None


def pixels(target: Mapping[str, Any], count: int, name: str) -> Tensor | None:
    """bool [M, H, W] of the masks of objects, or None where there are none; SourceError for another form."""
    if "masks" not in target:
        return None
    masks = torch.as_tensor(target["masks"]).as_subclass(Tensor)
    if masks.ndim != _STACK or len(masks) != count or masks.is_floating_point():
        raise SourceError(
            f"The masks of {name} are {masks.dtype} {[*masks.shape]}: objects have one each, [M, H, W] of "
            "bool or of 0 and 1; the class of each pixel is 'mask', [H, W]."
        )
    return masks.bool()


def corners_of(boxes: Any, name: str) -> Tensor:
    """float32 [M, 4] of left, top, right and bottom, also of torchvision's boxes in another format."""
    if is_of_torchvision(boxes, "BoundingBoxes"):
        from torchvision.transforms.v2.functional import convert_bounding_box_format

        boxes = convert_bounding_box_format(boxes, new_format="XYXY").as_subclass(Tensor)
    return table(boxes, 4, f"The boxes of {name}")


def as_label(value: Any) -> int | Tensor | None:
    """The number or the shares, float32 [K], of a class, or None of what is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, Tensor):
        if value.ndim == 0 and not value.is_floating_point() and value.dtype != torch.bool:
            return int(value)
        if value.ndim == 1 and value.is_floating_point():
            return value.to(torch.float32)
    return None


def as_mask(value: Any) -> Tensor | None:
    """Integers [H, W] of a mask in any usual form, or None of what is none."""
    if isinstance(value, Image.Image):
        value = np.asarray(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biu":
        value = torch.from_numpy(value.copy())
    if not isinstance(value, Tensor):
        return None
    mask = value.as_subclass(Tensor)
    if mask.ndim == _STACK and len(mask) == 1:
        mask = mask[0]
    if mask.ndim != _MATRIX or mask.is_floating_point() or mask.is_complex():
        return None
    return mask.to(torch.uint8) if mask.dtype == torch.bool else mask


def is_of_torchvision(value: object, name: str) -> bool:
    """Whoever has such a value has loaded torchvision, which takes seconds; nobody else needs it."""
    loaded = sys.modules.get("torchvision.tv_tensors")
    return loaded is not None and isinstance(value, getattr(loaded, name))
