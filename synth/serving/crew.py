"""The crew: processes that compute for the server, one for each CPU, and the models that they have loaded."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

from torch import Tensor, from_numpy

import synth.errors
from synth.artifacts import Artifact
from synth.batch import Mode, Precision
from synth.errors import DeviceError, SynthError
from synth.machine import worker_threads
from synth.sampling.planner import Planner, Traits
from synth.sampling.rows import Rows, Wanted
from synth.serving.messages import (
    Ask,
    Close,
    Failed,
    Handle,
    Made,
    Open,
    Opened,
    Run,
    Unknown,
    receive,
    send,
)

_log = logging.getLogger(__name__)


class LostError(DeviceError):
    """A process has died over what it was asked."""


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


class Crew:
    """Lends its members to threads that compute. Methods are for any thread."""

    def __init__(self, count: int, precision: Precision) -> None:
        """``count``: of processes, which share the CPUs."""
        self.count, self._precision = count, precision
        self._members = [Member(max(1, worker_threads() // count)) for _ in range(count)]
        self._idle = list(self._members)
        self._returned = threading.Condition()

    def start(self) -> None:
        """Start the processes."""
        for member in self._members:
            member.start()

    def end(self) -> None:
        """End them, whatever they are at, for good."""
        for member in self._members:
            member.end()

    def open(self, artifact: Artifact) -> CrewSampler:
        """Load a model in every process. Raises what loading raises; nothing is loaded then."""
        handle = (str(artifact.path.absolute()), artifact.manifest.digest)
        message = Open(handle, self._precision)
        try:
            # What the first has measured, the others find in the cache.
            opened = self._open(self._members[0], message)
            with ThreadPoolExecutor(len(self._members)) as pool:
                list(pool.map(lambda member: self._open(member, message), self._members[1:]))
        except SynthError:
            self.close(handle)
            raise
        return CrewSampler(artifact, self, message, opened)

    def run(self, message: Run, opening: Open, wanted: Wanted | None) -> Tensor:
        """uint8 [N, C, H, W], computed by the first process that is free.

        If that one dies, by another: the same keys make the same images. Raises LostError if that dies, too.
        """
        with self.lend() as member:
            try:
                made = self._run(member, message, opening, wanted)
            except LostError:
                made = self._run(member, message, opening, wanted)
        return from_numpy(made.pixels)

    def _run(self, member: Member, message: Run, opening: Open, wanted: Wanted | None) -> Made:
        answer = member.ask(message, wanted)
        if isinstance(answer, Unknown):  # a process that has taken the place of another
            member.ask(opening)
            answer = member.ask(message, wanted)
        assert isinstance(answer, Made)
        return answer

    def close(self, handle: Handle) -> None:
        """Let go of a model everywhere."""
        for member in self._members:
            with self.lend(member), contextlib.suppress(DeviceError):
                member.ask(Close(handle))

    @contextlib.contextmanager
    def lend(self, wanted: Member | None = None) -> Iterator[Member]:
        """A member that nobody else uses meanwhile: ``wanted``, or whichever is free first."""
        with self._returned:
            self._returned.wait_for(lambda: wanted in self._idle if wanted is not None else self._idle)
            member = self._idle[-1] if wanted is None else wanted
            self._idle.remove(member)
        try:
            yield member
        finally:
            with self._returned:
                self._idle.append(member)
                self._returned.notify_all()

    def _open(self, member: Member, message: Open) -> Opened:
        with self.lend(member):
            answer = member.ask(message)
        assert isinstance(answer, Opened)
        return answer


class CrewSampler(Planner):
    """A model that is loaded in the processes of a crew."""

    concurrent = True

    def __init__(self, artifact: Artifact, crew: Crew, opening: Open, opened: Opened) -> None:
        super().__init__(artifact)
        self._crew, self._opening, self._opened = crew, opening, opened

    @property
    def traits(self) -> Traits:
        return self._opened.traits

    @property
    def memory_bytes(self) -> int:
        return self._crew.count * self._opened.memory_bytes

    def run(
        self, rows: Rows, mode: Mode, parameters: Mapping[str, float], *, wanted: Wanted | None = None
    ) -> Tensor:
        return self._crew.run(Run.of(self._opening.handle, rows, mode, parameters), self._opening, wanted)

    def close(self) -> None:
        self._crew.close(self._opening.handle)


def _raised(failed: Failed) -> Exception:
    """What the process has raised, as far as it can be told here."""
    kind = getattr(synth.errors, failed.error, None)
    if isinstance(kind, type) and issubclass(kind, SynthError):
        return kind(failed.message)
    _log.error("a process that computes has failed:\n%s", failed.trace)
    return RuntimeError(f"{failed.error}: {failed.message}")
