"""What the iterable data sets have in common: turns, epochs, and where they are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from synth.errors import ResumeError
from synth.integrations.torch.passes import Passes, Place, failing
from synth.integrations.turns import Turns, check_whole


class KeyedStream(IterableDataset[Any]):
    """Batches, whole, for ``DataLoader(stream, batch_size=None)`` with workers of any number.

    The workers and ranks share the slots of an epoch without a duplicate, and the batches come in the same
    order for any number of workers. ``state_dict`` and ``load_state_dict`` are those of the process that they
    are called in, as torchdata's ``StatefulDataLoader`` wants it; ``state_after`` is for loops around any
    other loader.
    """

    def __init__(self, turns: Turns, what: Mapping[str, Any]) -> None:
        """``what``: what a state must belong to, ready for JSON."""
        self._turns = turns
        self._what = {**what, "count": turns.count}
        self._passes = Passes()
        self._place = Place(0)

    @abstractmethod
    def batches(self, spans: list[tuple[int, int]], epoch: int) -> Generator[Any, None, None]:
        """The batch of each span of slots."""

    def set_epoch(self, epoch: int) -> None:
        """What the next pass is: its order, and how it augments. Without it, all passes are equal."""
        self._passes.set_epoch(epoch)

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""
        return len(self._turns)

    def __iter__(self) -> Iterator[Any]:
        # At once and not with the first batch: loaders make iterators that they do not use.
        try:
            place = self._place = self._passes.begin()
        except ResumeError as error:
            return failing(error)
        info = get_worker_info()
        spans = self._turns.spans(
            start=place.start,
            worker=0 if info is None else info.id,
            workers=place.workers,
            taken=place.taken,
        )
        return self._given(list(spans), place.epoch)

    def _given(self, spans: list[tuple[int, int]], epoch: int) -> Iterator[Any]:
        with closing(self.batches(spans, epoch)) as batches:
            for batch in batches:
                self._place = replace(self._place, taken=self._place.taken + 1)
                yield batch

    def state_dict(self) -> dict[str, Any]:
        """Where this process is, ready for JSON: after the last batch that it gave.

        Raises UsageError where workers gave the batches, which alone know where they are.
        """
        place = self._passes.waiting()
        if place is None:
            self._passes.check_in_step()
            place = self._place
        return self._state(self._after(place, 0) if place.workers == 1 else place)

    def state_after(self, batches: int) -> dict[str, Any]:
        """The state of every rank once its loop has done so many batches since it began or went on.

        A loader's workers are ahead of the loop, which alone knows what it has used.
        """
        return self._state(self._after(self._passes.begun(), check_whole("batches", batches, 0)))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on there with the next pass, with any number of ranks, and of workers if it is from
        ``state_after``.

        Raises ResumeError for a state of other data, sizes, seeds or pipelines, or what is none.
        """
        try:
            place = Place(**{name: check_whole(name, state[name], 0) for name in Place.__dataclass_fields__})
        except KeyError as error:
            raise ResumeError(f"The state has no {error}: it is none of a stream of synth.") from None
        # A worker's own count of batches is in these; all else counts in slots.
        of_worker = self._steps if place.taken else {}
        check_same(state, {**self._what, **of_worker})
        self._passes.load(place)

    @property
    def _steps(self) -> dict[str, int]:
        return {"batch_size": self._turns.batch_size, "world": self._turns.world}

    def _state(self, place: Place) -> dict[str, Any]:
        return {**self._what, **self._steps, **asdict(place)}

    def _after(self, place: Place, batches: int) -> Place:
        """``batches`` more on every rank."""
        done = place.taken * place.workers + batches
        return Place(place.epoch, place.start + done * self._turns.batch_size * self._turns.world)


def check_same(state: Mapping[str, Any], what: Mapping[str, Any]) -> None:
    """Raise ResumeError where a state is one of something else than ``what``."""
    for name, value in what.items():
        if state.get(name) != value:
            raise ResumeError(
                f"The state is one with {name} {state.get(name)!r}, and here it is {value!r}: it does not "
                "tell where this stream was."
            )
