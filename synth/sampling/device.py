"""Devices and precisions: what there is, and what ``auto`` stands for."""

from __future__ import annotations

import torch

from synth.batch import Precision
from synth.errors import DeviceError
from synth.machine import cpu_features, cpu_name, worker_threads

DTYPES: dict[Precision, torch.dtype] = {"32": torch.float32, "bf16": torch.bfloat16, "16": torch.float16}


def resolve_device(name: str = "auto") -> torch.device:
    """``auto`` (CUDA where there is one, otherwise the CPU), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises DeviceError for a device that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, separator, number = name.partition(":")
    if kind == "cpu" and not separator:
        return torch.device("cpu")
    if kind != "cuda" or (separator and not number.isdecimal()):
        raise DeviceError(f"There is no device {name!r}; use auto, cpu, cuda or cuda:N.")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not found:
        raise DeviceError(f"Device {name!r} was asked for, but torch sees no CUDA device; use cpu or auto.")
    if int(number or 0) >= found:
        raise DeviceError(
            f"Device {name!r} was asked for, but there are only {found}: cuda:0 to cuda:{found - 1}."
        )
    return torch.device("cuda", int(number or 0))


def resolve_precision(name: str, device: torch.device) -> Precision:
    """``auto`` (bf16 where the device computes in it, otherwise 32), ``32``, ``bf16`` or ``16``.

    Raises DeviceError for a precision that the device cannot compute in.
    """
    if name == "auto":
        return "bf16" if has_bf16(device) else "32"
    if name == "32":
        return "32"
    if name == "bf16":
        if not has_bf16(device):
            raise DeviceError(f"{device} does not compute in bf16; use --precision 32 or auto.")
        return "bf16"
    if name == "16":
        if device.type != "cuda":
            raise DeviceError("Precision 16 needs a CUDA device; use --precision bf16, 32 or auto.")
        return "16"
    raise DeviceError(f"There is no precision {name!r}; use auto, 32, bf16 or 16.")


def has_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bf16: CUDA from compute capability 8.0, CPUs by their flags."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(cpu_features()))


def device_name(device: torch.device) -> str:
    """The kind of processor, as its maker calls it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def use_granted_threads() -> None:
    """Let torch use no more threads than the affinity mask and the control group's quota allow.

    More would only wait for each other. A smaller number that was set before is left alone.
    """
    if torch.get_num_threads() > worker_threads():
        torch.set_num_threads(worker_threads())
