"""A member of the crew: a process that computes for the server, and that is replaced when it dies."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from multiprocessing.connection import Connection

import synth.errors
from synth.errors import DeviceError, SynthError
from synth.sampling.rows import Wanted
from synth.serving.messages import Ask, Failed, receive, send

_log = logging.getLogger(__name__)


class LostError(Exception):
    """A process has died over what it was asked; the message is for users."""


class Member:
    """One process, started when it is first needed, and again when it has died.

    For one thread at a time, except for ``end``.
    """

    def __init__(self, threads: int) -> None:
        """``threads``: that torch may use in it."""
        self._threads = threads
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._ended = False

    def start(self) -> None:
        """Start the process, if none runs; it is waited for when it is asked something."""
        if self._process is not None and self._process.poll() is None:
            return
        if self._process is not None:
            self._lost()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "synth.serving.computing", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": str(self._threads)},
                start_new_session=True,  # Ctrl-C is for the server, which stops them in order
            )
        self._connection = Connection(ours.detach())

    def ask(self, message: object, wanted: Wanted | None = None) -> object:
        """Its answer to a message; ``wanted`` tells it meanwhile which rows somebody still waits for.

        Raises LostError if the process dies over it, and what the process has raised.
        """
        if self._ended:
            raise DeviceError("The server is shutting down.")
        self.start()
        assert self._connection is not None
        try:
            send(self._connection, message)
            while isinstance(answer := receive(self._connection), Ask):
                mask = None if wanted is None else wanted()
                send(self._connection, None if mask is None else mask.numpy())
        except (EOFError, OSError) as error:
            raise LostError(self._lost()) from error
        if isinstance(answer, Failed):
            raise _raised(answer)
        return answer

    def end(self) -> None:
        """End the process, whatever it is at, for good."""
        self._ended = True
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _lost(self) -> str:
        """Make way for another process; what to tell of the old one."""
        assert self._process is not None
        assert self._connection is not None
        self._process.kill()  # it may only have closed its socket
        code = self._process.wait()
        self._connection.close()
        self._process = self._connection = None
        reason = f"signal {-code}" if code < 0 else f"exit code {code}"
        if not self._ended:
            _log.error("A process that computes has died (%s); another one takes its place.", reason)
        hint = " Memory may have run out." if code == -signal.SIGKILL else ""
        return f"The process that computed this has died ({reason}); another one takes its place.{hint}"


def _raised(failed: Failed) -> Exception:
    """What the process has raised, as far as it can be told here."""
    kind = getattr(synth.errors, failed.error, None)
    if isinstance(kind, type) and issubclass(kind, SynthError):
        return kind(failed.message)
    _log.error("a process that computes has failed:\n%s", failed.trace)
    return RuntimeError(f"{failed.error}: {failed.message}")
