"""A process that computes for the server on a CPU: ``python -m synth.serving.computing SOCKET``.

It has an interpreter of its own, so that neither the event loop nor its siblings wait for it, and ends with
the server: when the socket closes, however that comes about.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from multiprocessing.connection import Connection

import torch
from torch import Tensor

from synth.artifacts import Store
from synth.errors import ArtifactError
from synth.sampling import Sampler
from synth.sampling.rows import Wanted
from synth.serving.messages import (
    Ask,
    Close,
    Done,
    Failed,
    Handle,
    Made,
    Open,
    Opened,
    Run,
    Style,
    Unknown,
    receive,
    send,
)

NICENESS = 5
"""The event loop comes first: it has little to do, and what it does is what clients wait for."""


class Computer:
    """Answers the server's messages, one after the other."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._samplers: dict[Handle, Sampler] = {}

    def serve(self) -> None:
        """Until the server closes the socket."""
        try:
            while True:
                message = receive(self._connection)
                send(self._connection, self._answer(message))
                del message  # images, for as long as nothing else comes
        except (EOFError, ConnectionError):
            return

    def _answer(self, message: object) -> object:
        try:
            if isinstance(message, Run):
                return self._run(message)
            if isinstance(message, Style):
                return self._style(message)
            if isinstance(message, Open):
                return self._open(message)
            assert isinstance(message, Close)
            self._samplers.pop(message.handle, None)
            return Done()
        except (EOFError, ConnectionError):
            raise
        except Exception as error:  # told to the server, whatever it is
            return Failed(type(error).__name__, str(error), traceback.format_exc())

    def _open(self, message: Open) -> Opened:
        if message.handle not in self._samplers:
            artifact = Store().open(message.path)
            if artifact.manifest.digest != message.handle[1]:
                raise ArtifactError(f"{artifact.manifest.reference} was replaced while it was being loaded.")
            self._samplers[message.handle] = Sampler(artifact, device="cpu", precision=message.precision)
        sampler = self._samplers[message.handle]
        return Opened(sampler.traits, sampler.memory_bytes)

    def _run(self, message: Run) -> Made | Unknown:
        sampler = self._samplers.get(message.handle)
        if sampler is None:
            return Unknown()
        rows = message.to_rows()
        pixels = sampler.run(rows, message.mode, message.parameters, wanted=self._wanted())
        return Made(pixels.numpy())

    def _style(self, message: Style) -> Made | Unknown:
        sampler = self._samplers.get(message.handle)
        return (
            Unknown()
            if sampler is None
            else Made(sampler.style(message.pictures, message.parameters).numpy())
        )

    def _wanted(self) -> Wanted:
        first = True

        def asked() -> Tensor | None:
            nonlocal first
            if first:  # the batch has only just been put together
                first = False
                return None
            send(self._connection, Ask())
            mask = receive(self._connection)
            return None if mask is None else torch.from_numpy(mask)

        return asked


def main() -> None:
    """Serve on the socket whose number is the argument."""
    # The server stops its processes in order; until then what was accepted is finished.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(NICENESS)
    Computer(Connection(int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
