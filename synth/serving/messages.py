"""What the server and the processes that compute for it say to each other, over a socket that both own.

Pickled, since both ends are one program and nobody else can write to the socket; tensors travel as arrays.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synth.batch import Mode, Parameters
from synth.sampling.planner import Traits
from synth.sampling.rows import Rows

Handle = tuple[str, str]
"""By which both ends know a model: the artifact's folder and digest."""


@dataclass(frozen=True)
class Open:
    """Load a model and warm it up; answered with Opened or Failed. A second time is cheap."""

    handle: Handle
    precision: str

    @property
    def path(self) -> Path:
        """The artifact's folder."""
        return Path(self.handle[0])


@dataclass(frozen=True)
class Opened:
    """It is loaded."""

    traits: Traits
    memory_bytes: int


@dataclass(frozen=True)
class Close:
    """Let go of a model; answered with Done."""

    handle: Handle


@dataclass(frozen=True)
class Done:
    """It is so."""


@dataclass(frozen=True)
class Run:
    """Compute a batch; answered with any number of Ask, then Made, Unknown or Failed."""

    handle: Handle
    rows: tuple[np.ndarray | None, ...]
    """seed, index, labels, images and given of ``Rows``."""
    mode: Mode
    parameters: Parameters

    @staticmethod
    def of(handle: Handle, rows: Rows, mode: Mode, parameters: Parameters) -> Run:
        """The message for these rows."""
        tensors = (rows.seed, rows.index, rows.labels, rows.images, rows.given)
        arrays = tuple(None if tensor is None else tensor.numpy() for tensor in tensors)
        return Run(handle, arrays, mode, parameters)

    def to_rows(self) -> Rows:
        """The rows."""
        seed, index, labels, images, given = (
            None if array is None else torch.from_numpy(array) for array in self.rows
        )
        assert seed is not None
        assert index is not None
        return Rows(seed, index, labels, images, given)


@dataclass(frozen=True)
class Style:
    """Look at pictures, canonical pixels; answered with Made (of ``Planner.style``), Unknown or Failed."""

    handle: Handle
    pictures: Sequence[np.ndarray]
    parameters: Parameters


@dataclass(frozen=True)
class Ask:
    """Which rows does somebody still wait for? Answered with bool [N], or None for all."""


@dataclass(frozen=True)
class Made:
    """uint8 [N, C, H, W]; or float32 [D], of Style."""

    pixels: np.ndarray


@dataclass(frozen=True)
class Unknown:
    """There is no such model here: the process is a new one, or has let go of it."""


@dataclass(frozen=True)
class Failed:
    """What was raised; ``error`` is the name of a class of ``synth.errors``, or of no use but to people."""

    error: str
    message: str
    trace: str


def send(connection: Connection, message: object) -> None:
    """Send a message."""
    connection.send_bytes(pickle.dumps(message, protocol=5))


def receive(connection: Connection) -> Any:
    """The next message; raises EOFError once the other end has closed."""
    return pickle.loads(connection.recv_bytes())
