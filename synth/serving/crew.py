"""The crew: processes that compute for the server, one for each CPU, and the models that they have loaded."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from torch import Tensor, from_numpy

from synth.artifacts import Artifact
from synth.batch import Mode, Parameters, Precision
from synth.errors import DeviceError, SynthError
from synth.machine import worker_threads
from synth.sampling.load import load_outline
from synth.sampling.planner import Planner, Traits
from synth.sampling.rows import Rows, Wanted
from synth.serving.member import LostError, Member
from synth.serving.messages import (
    Close,
    Handle,
    Made,
    Open,
    Opened,
    Run,
    Style,
    Unknown,
)

T = TypeVar("T")


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

    def run(self, message: Run | Style, opening: Open, wanted: Wanted | None = None) -> Tensor:
        """What is asked for in ``Made``, computed by the first process that is free.

        If that one dies, by another: the same keys make the same images. Raises DeviceError if that dies too.
        """
        with self.lend() as member:
            try:
                made = self._run(member, message, opening, wanted)
            except LostError:
                made = _or_device_error(lambda: self._run(member, message, opening, wanted))
        return from_numpy(made.pixels)

    def _run(self, member: Member, message: Run | Style, opening: Open, wanted: Wanted | None) -> Made:
        answer = member.ask(message, wanted)
        if isinstance(answer, Unknown):  # a process that has taken the place of another
            member.ask(opening)
            answer = member.ask(message, wanted)
        assert isinstance(answer, Made)
        return answer

    def close(self, handle: Handle) -> None:
        """Let go of a model everywhere."""
        for member in self._members:
            with self.lend(member), contextlib.suppress(DeviceError, LostError):
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
            answer = _or_device_error(lambda: member.ask(message))
        assert isinstance(answer, Opened)
        return answer


class CrewSampler(Planner):
    """A model that is loaded in the processes of a crew."""

    concurrent = True

    def __init__(self, artifact: Artifact, crew: Crew, opening: Open, opened: Opened) -> None:
        super().__init__(artifact)
        self._crew, self._opening, self._opened = crew, opening, opened
        self._outline = load_outline(artifact)

    @property
    def traits(self) -> Traits:
        return self._opened.traits

    @property
    def memory_bytes(self) -> int:
        return self._crew.count * self._opened.memory_bytes

    def run(self, rows: Rows, mode: Mode, parameters: Parameters, *, wanted: Wanted | None = None) -> Tensor:
        return self._crew.run(Run.of(self._opening.handle, rows, mode, parameters), self._opening, wanted)

    def steps(self, parameters: Parameters) -> int:
        return self._outline.steps(parameters)

    def style(self, pictures: Sequence[np.ndarray], parameters: Parameters) -> Tensor:
        return self._crew.run(Style(self._opening.handle, pictures, parameters), self._opening)

    def close(self) -> None:
        self._crew.close(self._opening.handle)


def _or_device_error(ask: Callable[[], T]) -> T:
    """What ``ask`` returns; the death of its process is a failure of the device."""
    try:
        return ask()
    except LostError as error:
        raise DeviceError(str(error)) from error
