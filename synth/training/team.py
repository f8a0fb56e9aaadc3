"""Several devices of one machine: a process for each, held in step by Lightning's DDP.

The process that the user started is rank 0, the leader. It alone keeps the run, draws previews, measures,
saves and publishes. It starts the others, the followers, which compute their share of every batch and hear
from it, after each step, how far the training is and whether to stop.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment, find_free_network_port
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import distributed

from synth.errors import ConfigError, DeviceError, TrainingError

_PATIENCE = timedelta(hours=6)
"""How long followers wait for the leader: it may draw previews, measure and save between two steps."""
_SECONDS_TO_END, _SECONDS_TO_FAIL = 60.0, 2.0


@dataclass(frozen=True)
class Team:
    """The place of this process among those that train together; ``Team()`` is a process on its own."""

    rank: int = 0
    size: int = 1
    port: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process is the one that the user started."""
        return self.rank == 0

    def share(self, batch_size: int) -> slice:
        """The rows of each batch that are this process's."""
        rows = batch_size // self.size
        return slice(self.rank * rows, (self.rank + 1) * rows)

    def agree(self, progress: float, stop: bool) -> tuple[float, bool]:
        """The leader's progress and wish to stop, the same in all processes."""
        told = self.leaders(progress, float(stop))
        return told[0], bool(told[1])

    def leaders(self, *values: float) -> list[float]:
        """The leader's values, the same in all processes."""
        if self.size == 1:
            return list(values)
        told = torch.tensor(values, dtype=torch.float64)
        if distributed.get_backend() == "nccl":
            told = told.cuda()
        distributed.broadcast(told, src=0)
        return [float(value) for value in told]

    def devices(self, device: torch.device) -> list[int] | int:
        """For Lightning's Trainer: the first ones where there are several."""
        if self.size > 1 or device.type == "cpu":
            return self.size
        return [device.index or 0]

    def strategy(self, *, parts_rest: bool) -> str | Strategy:
        """For Lightning's Trainer; ``parts_rest`` is ``FamilyModule.parts_rest``."""
        if self.size == 1:
            return "auto"
        return DDPStrategy(
            cluster_environment=_Place(self), timeout=_PATIENCE, find_unused_parameters=parts_rest
        )


class _Place(LightningEnvironment):
    """Tells Lightning which process this is, where it would ask environment variables."""

    def __init__(self, team: Team) -> None:
        super().__init__()
        self._team = team
        self._main_port = team.port

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        return self._main_port

    def local_rank(self) -> int:
        return self._team.rank

    def node_rank(self) -> int:
        return 0


def check_devices(name: str, device: torch.device, devices: int, batch_size: int) -> None:
    """Refuse what cannot be shared out: DeviceError or ConfigError."""
    if devices < 1:
        raise ConfigError(f"--devices must be 1 or more, not {devices}.")
    if devices == 1:
        return
    if ":" in name:
        raise DeviceError(f"--devices {devices} takes the first {devices}; use --device cuda, not {name}.")
    if device.type == "cuda" and devices > torch.cuda.device_count():
        raise DeviceError(
            f"--devices {devices} was asked for, but torch sees {torch.cuda.device_count()} CUDA devices."
        )
    if batch_size % devices:
        fitting = max(batch_size // devices, 1) * devices
        raise ConfigError(
            f"A batch of {batch_size} cannot be shared out evenly to {devices} devices; "
            f"use --batch-size {fitting} or {fitting + devices}."
        )


class Followers:
    """The other processes of a team, as their leader sees them."""

    def __init__(self, plan: dict[str, Any], devices: int, logs: Path) -> None:
        """Start them. ``plan`` is what ``synth.training.follow`` reads; ``logs`` gets what each one says."""
        self.team = Team(0, devices, find_free_network_port())
        self._ending = False
        logs.mkdir(exist_ok=True)
        self._logs = [logs / f"rank{rank}.log" for rank in range(1, devices)]
        self.processes = [
            self._start({**plan, "rank": rank, "size": devices, "port": self.team.port}, log)
            for rank, log in enumerate(self._logs, start=1)
        ]

    def failure(self) -> TrainingError | None:
        """What a follower that ended too early has said last."""
        for rank, (process, log) in enumerate(zip(self.processes, self._logs, strict=True), start=1):
            if _ended(process):
                lines = log.read_text(errors="replace").strip().splitlines() or [f"exit {process.poll()}."]
                return TrainingError(
                    f"The training process of device {rank} ended: {lines[-1].strip()} All that it said is "
                    f"in {log}. What was saved last is kept; the same command goes on from there."
                )
        return None

    def end(self, gracefully: bool) -> None:
        """Wait for those that were told to stop; kill the others."""
        self._ending = True
        for process in self.processes:
            assert process.stdin is not None
            try:
                process.wait(_SECONDS_TO_END if gracefully else 0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdin.close()

    def _start(self, plan: dict[str, Any], log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "synth.training.follow"],
                stdin=subprocess.PIPE,  # closed by the system when the leader dies, however it dies
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the leader, which tells them to stop
            )
        assert process.stdin is not None
        process.stdin.write(json.dumps(plan).encode() + b"\n")
        process.stdin.flush()
        threading.Thread(target=self._watch, args=(process,), daemon=True).start()
        return process

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Gloo notices by itself that a process is gone; NCCL would wait for it for hours."""
        failed = process.wait() != 0 and not self._ending
        group = distributed.group.WORLD
        if failed and group is not None and distributed.get_backend() == "nccl":
            group.abort()


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has failed; its connection may be lost a moment before it is gone."""
    try:
        return process.wait(_SECONDS_TO_FAIL) != 0
    except subprocess.TimeoutExpired:
        return False


@contextmanager
def gathered(plan: dict[str, Any], device: torch.device, devices: int, logs: Path) -> Iterator[Team]:
    """The leader of a team, whose followers run within.

    Args:
        plan: what ``synth.training.follow`` needs to know of the run.
        device: of the leader; the others have the next ones.
        devices: how many processes; 1 is this one alone.
        logs: folder for what the followers say.

    Raises TrainingError where a follower has failed.
    """
    if devices == 1:
        yield Team()
        return
    threads, environment = torch.get_num_threads(), dict(os.environ)
    followers = Followers({**plan, "device": device.type}, devices, logs)
    done = False
    try:
        yield followers.team
        done = True
    except RuntimeError as error:  # what torch.distributed raises where another process is gone
        failure = followers.failure()
        if failure is None:
            raise
        raise failure from error
    finally:
        followers.end(gracefully=done)
        if distributed.is_initialized():
            distributed.destroy_process_group()
        # Lightning leaves an address, and fewer threads, behind.
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        torch.set_num_threads(threads)
