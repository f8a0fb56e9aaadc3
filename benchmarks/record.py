"""What every benchmark writes: its figures, and on what they were obtained.

The description of the machine holds what speed depends on, and neither names nor paths of it.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from synth.machine import cpu_features, cpu_name, cpu_quota, usable_cpus

RESULTS = Path(__file__).parent / "results"

_LIBRARIES = (
    *("torch", "torchvision", "numpy", "pillow", "isal", "lightning", "scikit-learn", "torchmetrics"),
    *("fastapi", "uvicorn", "litserve", "ray", "kornia", "albumentations"),
)


def write_result(name: str, figures: Mapping[str, Any], folder: Path = RESULTS) -> Path:
    """Write ``folder/NAME.json``: the figures with machine, versions, commit and date.

    The file is, after any crash, the former one or the new one as a whole.

    Raises:
        ValueError: a figure is not finite; TypeError: one that JSON has no place for.
    """
    record = {
        "benchmark": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
        "figures": figures,
    }
    text = json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    draft = folder / f".{name}.{os.getpid()}.draft"
    try:
        with open(draft, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def machine() -> dict[str, Any]:
    """Processor, memory, CUDA devices and how busy the machine is."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "cpus": usable_cpus(),
        "cpu_quota": cpu_quota(),
        "cpu_features": cpu_features(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load": round(os.getloadavg()[0], 2),
        "cuda": _cuda_devices(),
    }


def versions() -> dict[str, str]:
    """Python's version and those of the libraries that figures depend on."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The commit measured, with ``+changes`` where files differ from it; None outside a checkout."""
    here = Path(__file__).parent
    try:
        head = _git(here, "rev-parse", "HEAD")
        changes = _git(here, "status", "--porcelain", "--untracked-files=no", "--", "..", ":!results")
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+changes" if changes else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _cuda_devices() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
