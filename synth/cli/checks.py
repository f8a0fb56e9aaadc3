"""What ``synth doctor`` looks at: one function a subject."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import synth
from synth.errors import SynthError
from synth.home import home
from synth.machine import cpu_features, cpu_name, cpu_quota, usable_cpus
from synth.text import plural, some

_LIBRARIES = (
    "torch",
    "torchvision",
    "lightning",
    "numpy",
    "pillow",
    "safetensors",
    "scikit-learn",
    "fastapi",
)
_LITTLE_SPACE = 2 * 2**30


@dataclass(frozen=True)
class Check:
    """One finding; ``warning``: work goes on without it, ``failed``: it does not."""

    name: str
    status: Literal["ok", "warning", "failed"]
    detail: str
    remedy: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    """The same for programs, as plain JSON values."""


def check_all() -> list[Check]:
    """Every check, in the order in which a failure of one would explain those after it."""
    return [
        check_versions(),
        check_home(),
        check_disk(),
        check_cpu(),
        check_torch(),
        check_cuda(),
        check_data(),
        check_store(),
        check_tuning(),
    ]


def check_versions() -> Check:
    """Are the libraries there that synth stands on?"""
    versions = {"synth": synth.__version__, "python": platform.python_version()}
    missing = []
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        remedy = f"pip install {' '.join(missing)}"
        return Check("versions", "failed", f"not installed: {some(missing)}", remedy, versions)
    return Check("versions", "ok", ", ".join(f"{name} {v}" for name, v in versions.items()), None, versions)


def check_home() -> Check:
    """Can SYNTH_HOME be written? It is not created by looking."""
    folder = home()
    facts = {"path": str(folder), "exists": folder.exists()}
    try:
        if folder.is_dir():
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"synth")
        elif not os.access(_existing(folder), os.W_OK) or not _existing(folder).is_dir():
            raise PermissionError(f"{_existing(folder)} cannot be written")
    except OSError as error:
        remedy = "make it writable, or set SYNTH_HOME to a folder that is"
        return Check("home", "failed", f"{folder}: {error}", remedy, {**facts, "writable": False})
    detail = str(folder) if facts["exists"] else f"{folder} (made when it is first needed)"
    return Check("home", "ok", detail, None, {**facts, "writable": True})


def check_disk() -> Check:
    """Is there room for models and data sets?"""
    free = shutil.disk_usage(_existing(home())).free
    detail = f"{free / 1e9:,.1f} GB free at {home()}"
    if free < _LITTLE_SPACE:
        return Check("disk", "warning", detail, "free some space, or move SYNTH_HOME", {"free_bytes": free})
    return Check("disk", "ok", detail, None, {"free_bytes": free})


def check_cpu() -> Check:
    """Which processor, how much of it, and what it does fast."""
    cpus, quota, features = usable_cpus(), cpu_quota(), cpu_features()
    facts = {"name": cpu_name(), "usable": cpus, "quota": quota, "features": features}
    limit = "" if quota is None else f", limited to the time of {quota:g}"
    detail = f"{facts['name']}, {cpus} usable{limit}; {' '.join(features) or 'no vector extensions known'}"
    return Check("cpu", "ok", detail, None, facts)


def check_torch() -> Check:
    """Does torch load?"""
    try:
        import torch
    except (ImportError, OSError) as error:
        return Check("torch", "failed", f"cannot be loaded: {error}", "pip install --force-reinstall torch")
    facts = {"version": torch.__version__, "threads": torch.get_num_threads(), "cuda": torch.version.cuda}
    build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for CPU"
    return Check(
        "torch", "ok", f"{torch.__version__}, {build}, {torch.get_num_threads()} threads", None, facts
    )


def check_cuda() -> Check:
    """Which CUDA devices there are; none is fine."""
    try:
        import torch
    except (ImportError, OSError):
        return Check("cuda", "warning", "unknown, since torch cannot be loaded")
    if not torch.cuda.is_available():
        return Check("cuda", "ok", "no device: the CPU is used", None, {"devices": []})
    found = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    devices = [
        {"name": gpu.name, "memory_bytes": gpu.total_memory, "capability": f"{gpu.major}.{gpu.minor}"}
        for gpu in found
    ]
    detail = some([f"{gpu.name} ({gpu.total_memory / 2**30:.0f} GiB)" for gpu in found])
    return Check("cuda", "ok", detail, None, {"devices": devices})


def check_data() -> Check:
    """Which built-in data sets can be opened without a network; the others are downloaded when asked for."""
    from synth.data import BUILTINS, builtin_is_local

    local = [name for name in BUILTINS if builtin_is_local(name)]
    absent = [name for name in BUILTINS if name not in local]
    detail = f"on this machine: {some(local)}"
    if absent:
        detail += f"; downloaded when asked for: {some(absent)}"
    remedy = "Debian and Ubuntu: apt install dataset-fashion-mnist" if "fashion-mnist" in absent else None
    return Check("data", "ok", detail, remedy, {"local": local, "absent": absent})


def check_store() -> Check:
    """Which models there are, and which of them are damaged."""
    from synth.artifacts import Store

    store = Store()
    try:
        entries = store.list()
    except SynthError as error:
        return Check("store", "failed", str(error), "make it readable, or set SYNTH_HOME to another folder")
    damaged = [entry.reference for entry in entries if entry.error is not None]
    facts = {"path": str(store.root), "models": [entry.reference for entry in entries], "damaged": damaged}
    detail = f"{plural(len(entries), 'model version')} in {store.root}"
    if damaged:
        remedy = f"synth models list says what is wrong; synth models remove {damaged[0]} deletes one"
        return Check("store", "warning", f"{detail}; damaged: {some(damaged)}", remedy, facts)
    return Check("store", "ok", detail, None, facts)


def check_tuning() -> Check:
    """How models are run on this machine, as far as it has been measured."""
    from synth.sampling import tuning_cache

    entries = tuning_cache.entries()
    if not entries:
        return Check("tuning", "ok", "no model has been run yet; the first time it is measured how", None, {})
    lines = []
    for kept in entries:
        tuning = kept.tuning
        rate = max(size / seconds for size, seconds in tuning.seconds.items())
        trials = [f"{one.engine} {one.layout} {one.images_per_second:,.0f}" for one in tuning.trials]
        lines.append(
            f"{kept.model} in {kept.key.get('precision')}: {tuning.engine}, {tuning.layout}, batches of up "
            f"to {max(tuning.seconds)}, {rate:,.0f} images/s (tried, images/s: {some(trials)})"
        )
    facts = {"models": [kept.model_dump(mode="json") for kept in entries]}
    return Check("tuning", "ok", some(lines), None, facts)


def _existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
