"""Facts about the processor, read from the system's files."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile", "asimd", "bf16", "sve")
"""What decides the speed of float32 and bfloat16 on a CPU, as /proc/cpuinfo spells it (x86 and Arm)."""


def usable_cpus() -> int:
    """CPUs that this process may be scheduled on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota(cgroup: Path = Path("/sys/fs/cgroup")) -> float | None:
    """CPUs' worth of time that the control group (version 2 or 1) grants, or None without a limit."""
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
    except OSError:
        return None
    return None if quota in ("max", "-1") else int(quota) / int(period)


def worker_threads() -> int:
    """How many threads can compute at once: limited by the CPUs in reach and by the time granted."""
    quota = cpu_quota()
    return usable_cpus() if quota is None else max(1, min(usable_cpus(), int(quota)))


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that can be taken without swapping, as Linux estimates it; None where it does not say."""
    for line in _lines(meminfo):
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name for people."""
    for line in _lines(cpuinfo):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cpu_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """Those vector extensions of the first processor that matter here; empty where they cannot be read."""
    for line in _lines(cpuinfo):
        name, _, values = line.partition(":")
        if name.strip() in ("flags", "Features"):
            present = set(values.split())
            return [feature for feature in _FEATURES if feature in present]
    return []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
