"""Where a stream is: what the process of a loop and the workers of its loader tell each other of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields, replace
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from synth.errors import ResumeError, UsageError
from synth.integrations.torch.epoch import Epoch

_MOST_WORKERS = 4096
_NOTHING, _WAITING, _HERE = -1, -2, -3
"""In place of the number of the pass that uses a place: no place, no pass, or one without workers."""


@dataclass(frozen=True)
class Place:
    """How far an epoch is.

    Attributes:
        epoch: which.
        start: slots that all ranks together had done when it was begun, or gone on with.
        taken: batches that this worker has given since.
        workers: of how many.
    """

    epoch: int
    start: int = 0
    taken: int = 0
    workers: int = 1


class Passes:
    """The epoch, where the next pass goes on, and where the last one began, in shared memory.

    Some workers are begun for each pass and others stay: neither a copy of the loop's process nor one of a
    worker would know whether a place was used already, or that there is a new one.
    """

    def __init__(self) -> None:
        self._epoch = Epoch()
        self._place, self._begun = (_shared(len(fields(Place))) for _ in range(2))
        self._begun[:] = torch.tensor(astuple(Place(0)))
        # How many places were told, which pass uses the last one, and whether parts of it lie elsewhere.
        self._told = _shared(3)
        self._told[1] = _NOTHING
        self._used = _shared(_MOST_WORKERS)
        # Whether the last pass began where workers alone know, and whether these run ahead of the loop.
        self._apart = _shared(2)
        self._known = 0
        self._own: Place | None = None

    def set_epoch(self, epoch: int) -> None:
        """Of the next pass."""
        self._epoch.set(epoch)
        waiting = self._waiting()
        # A place that no pass has used yet is where that epoch begins.
        self._write_begun(waiting if waiting is not None and waiting.epoch == epoch else Place(epoch))

    def load(self, place: Place, *, private: bool = False) -> None:
        """Go on there with the next pass, of this worker, or of all workers where this is none of them.

        ``private``: some of it is in this process alone and in those that it begins from here on.
        """
        self._epoch.set(place.epoch)
        if get_worker_info() is not None:
            # torchdata's loader tells each worker a place of its own.
            self._own = place
            return
        self._used.zero_()
        self._place[:] = torch.tensor(astuple(place))
        self._known = int(self._told[0]) + 1
        self._told[:] = torch.tensor([self._known, _WAITING, private])
        self._write_begun(place)
        self._apart[1] = False

    def begin(self) -> Place:
        """Where the pass begins that this process begins now; each place that was told is used once.

        Raises ResumeError for a place that is one of other workers than there are.
        """
        info = get_worker_info()
        workers = 1 if info is None else info.num_workers
        told = self._take() if info is None else self._take(info.id, info.seed - info.id)
        own, self._own = self._own, None
        loaded = told if own is None else own
        place = Place(self._epoch.get(), workers=workers)
        if loaded is not None and loaded.epoch == place.epoch:
            if loaded.taken and loaded.workers != workers:
                raise ResumeError(
                    f"The state is one of {loaded.workers} workers and there are {workers}. Take as many, or "
                    "save 'state_after' of the batches done, which fits any number."
                )
            place = replace(loaded, workers=workers)
        self._write_begun(place, apart=own is not None)
        self._apart[1] = info is not None
        return place

    def waiting(self) -> Place | None:
        """The place that was told to this process and is not used yet."""
        if get_worker_info() is not None:
            return self._own
        return self._waiting()

    def begun(self) -> Place:
        """Where the pass began that the loop is in; raises UsageError where workers alone know."""
        if self._apart[0]:
            raise UsageError(
                "torchdata's StatefulDataLoader has told each worker where to go on, so that only its own "
                "state_dict knows how far the loop is: keep that."
            )
        return Place(*self._begun.tolist())

    def check_in_step(self) -> None:
        """Raise UsageError where workers are ahead of the loop, so that only the loop knows its place."""
        if self._apart[1] and get_worker_info() is None:
            raise UsageError(
                "Workers of a DataLoader made the batches, ahead of the loop, which alone knows how many it "
                "has used: keep state_after(batches) instead, or take torchdata's StatefulDataLoader."
            )

    def _take(self, worker: int = 0, number: int = _HERE) -> Place | None:
        """The place told, for one worker of the pass of this number, if that is the first since then."""
        told, used_by, private = self._told.tolist()
        if used_by == _WAITING:
            self._told[1] = number
        elif used_by != number:
            return None
        # Workers that stay have one number for all their passes.
        if self._used[worker]:
            return None
        self._used[worker] = True
        if private and self._known != told:
            raise ResumeError(
                "The state of the data set does not reach workers that are there already "
                "(persistent_workers): load it before they begin, or make a new DataLoader."
            )
        return Place(*self._place.tolist())

    def _waiting(self) -> Place | None:
        return Place(*self._place.tolist()) if self._told[1] == _WAITING else None

    def _write_begun(self, place: Place, *, apart: bool = False) -> None:
        self._begun[:] = torch.tensor(astuple(place))
        self._apart[0] = apart


def failing(error: ResumeError) -> Iterator[Any]:
    """Raises ``error`` with the first batch: workers that stay would end without a word of it before."""

    def fail() -> NoReturn:
        raise error

    return iter(fail, None)


def _shared(count: int) -> Tensor:
    values = torch.zeros(count, dtype=torch.int64)
    values.share_memory_()  # type: ignore[no-untyped-call]
    return values
