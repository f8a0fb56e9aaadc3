"""Making a loaded network ready for its device: folded, cast once, and compared with float32."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace

import torch
from torch import nn

from synth.batch import Precision
from synth.sampling.core import Core
from synth.sampling.device import DTYPES
from synth.sampling.fold import fold_batch_norms
from synth.sampling.methods import Model

MEAN_TOLERANCE = 2.0
"""Levels of 255 by which reduced precision may differ from float32, on average over a fixed batch."""
FAST_TOLERANCE = 2
"""Levels of 255 by which pixels of mode ``fast`` may differ between batch sizes, which round differently."""
_CHECKED = 8


class PrecisionWarning(UserWarning):
    """The reduced precision changes this model's images too much; float32 is used instead."""


def prepare(model: Model, device: torch.device, precision: Precision) -> tuple[Core, Precision]:
    """The core for a device, and the precision in use.

    Weights are cast once, here, so that no request pays for it. A reduced precision is held against float32
    on a fixed batch; beyond ``MEAN_TOLERANCE`` it is given up, with a PrecisionWarning.
    """
    fold_batch_norms(model.network)
    network = model.network.to(device)
    if precision == "32":
        return Core(replace(model, network=network), device, torch.float32), "32"
    reduced = copy.deepcopy(network)
    cast(reduced, DTYPES[precision])
    core = Core(replace(model, network=reduced), device, DTYPES[precision])
    reference = Core(replace(model, network=network), device, torch.float32)
    # Fewer of large networks, which take seconds for each.
    difference = _difference(core, reference, min(_CHECKED, core.exact_bucket))
    if difference <= MEAN_TOLERANCE:
        return core, precision
    warnings.warn(
        f"In precision {precision} the images differ from float32 by {difference:.1f} levels of 255 on "
        f"average (at most {MEAN_TOLERANCE:g} are allowed); precision 32 is used instead.",
        PrecisionWarning,
        stacklevel=2,
    )
    return reference, "32"


def cast(network: nn.Module, dtype: torch.dtype) -> None:
    """Turn all floating-point weights into ``dtype``; modules with ``full_precision = True`` stay."""
    if getattr(network, "full_precision", False):
        return
    for tensor in (*network.parameters(recurse=False), *network.buffers(recurse=False)):
        if tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype)
    for child in network.children():
        cast(child, dtype)


def _difference(core: Core, reference: Core, count: int) -> float:
    """Mean absolute difference in levels of 255; infinite where the reduced precision makes no images."""
    ours, theirs = (one.sample(count).float() for one in (core, reference))
    difference = float((ours - theirs).abs().mean())
    return difference if difference == difference else float("inf")
