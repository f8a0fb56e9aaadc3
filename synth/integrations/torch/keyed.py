"""What the iterable data sets have in common: turns, epochs, and where they are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from synth.errors import ResumeError
from synth.integrations.torch.epoch import Epoch
from synth.integrations.turns import Turns, check_whole


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


class KeyedStream(IterableDataset[Any]):
    """Batches, whole, for ``DataLoader(stream, batch_size=None)`` with workers of any number.

    The workers and ranks share the slots of an epoch without a duplicate, and the batches come in the same
    order for any number of workers. ``state_dict`` and ``load_state_dict`` are those of the process that they
    are called in, as torchdata's ``StatefulDataLoader`` wants it; ``state_after`` is for loops around any
    other loader.
    """

    def __init__(self, turns: Turns, what: Mapping[str, int | str]) -> None:
        """``what``: what a state must belong to, ready for JSON."""
        self._turns = turns
        self._what = {**what, "count": turns.count}
        self._epoch = Epoch()
        self._place = Place(0)
        self._begun = self._place
        self._loaded: Place | None = None

    @abstractmethod
    def batches(self, spans: list[tuple[int, int]], epoch: int) -> Generator[Any, None, None]:
        """The batch of each span of slots."""

    def set_epoch(self, epoch: int) -> None:
        """What the next pass is: its order, and how it augments. Without it, all passes are equal."""
        self._epoch.set(epoch)
        if epoch != self._begun.epoch:
            self._begun = Place(epoch)

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""
        return len(self._turns)

    def __iter__(self) -> Iterator[Any]:
        # At once and not with the first batch: loaders make iterators that they do not use.
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        loaded, self._loaded = self._loaded, None
        place = Place(self._epoch.get())
        if loaded is not None and loaded.epoch == place.epoch:
            if loaded.taken and loaded.workers != workers:
                raise ResumeError(
                    f"The state is one of {loaded.workers} workers and there are {workers}. Take as many, or "
                    "save 'state_after' of the batches done, which fits any number."
                )
            place = loaded
        self._place = self._begun = replace(place, workers=workers)
        spans = self._turns.spans(start=place.start, worker=worker, workers=workers, taken=place.taken)
        return self._given(list(spans), place.epoch)

    def _given(self, spans: list[tuple[int, int]], epoch: int) -> Iterator[Any]:
        with closing(self.batches(spans, epoch)) as batches:
            for batch in batches:
                self._place = replace(self._place, taken=self._place.taken + 1)
                yield batch

    def state_dict(self) -> dict[str, Any]:
        """Where this process is, ready for JSON: after the last batch that it gave."""
        place = self._place if self._loaded is None else self._loaded
        if place.workers == 1:
            place = self._after(place.epoch, place.start, place.taken)
        return {**self._what, **asdict(place)}

    def state_after(self, batches: int) -> dict[str, Any]:
        """The state of every rank once its loop has done so many batches since it began or went on.

        A loader's workers are ahead of the loop, which alone knows what it has used.
        """
        begun = self._begun
        place = self._after(begun.epoch, begun.start, check_whole("batches", batches, 0))
        return {**self._what, **asdict(place)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on there with the next pass, with any number of ranks, and of workers if it is from
        ``state_after``.

        Raises ResumeError for a state of other data, sizes or seeds, or what is none.
        """
        for name, value in self._what.items():
            if state.get(name) != value:
                raise ResumeError(
                    f"The state is one with {name} {state.get(name)!r}, and here it is {value!r}: it does "
                    f"not tell "
                    "where this stream was."
                )
        try:
            names = Place.__dataclass_fields__
            place = Place(**{name: check_whole(name, state[name], 0) for name in names})
        except KeyError as error:
            raise ResumeError(f"The state has no {error}: it is none of a stream of synth.") from None
        self._epoch.set(place.epoch)
        self._loaded = self._begun = place

    def _after(self, epoch: int, start: int, batches: int) -> Place:
        """``batches`` more on every rank."""
        return Place(epoch, start + batches * self._turns.batch_size * self._turns.world)
