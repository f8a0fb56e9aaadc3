"""What an iterable data set of a user gives, augmented."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from typing import Any, cast

from torch.utils.data import IterableDataset

from synth.augment import Pipeline
from synth.errors import ResumeError, UsageError
from synth.integrations.augmenter import Augmenter, Item
from synth.integrations.originals import NoOriginals, Reader
from synth.integrations.torch.keyed import check_same
from synth.integrations.torch.passes import Passes, Place, failing
from synth.integrations.turns import check_whole

Collate = Callable[[Sequence[Item]], Any]


class AugmentedIterable(IterableDataset[Any]):
    """What an iterable data set gives, augmented, in its order; see ``as_stream``.

    Whether workers and ranks share its items is the data set's own affair, as it is without augmentation.
    """

    def __init__(
        self,
        dataset: IterableDataset[Any],
        pipeline: Pipeline,
        channels: int | None,
        reader: Reader,
        batch_size: int,
        collate: Collate,
    ) -> None:
        """See ``as_stream``; raises UsageError for a pipeline that mixes."""
        if pipeline.specification.batch:
            raise UsageError(
                "The pipeline mixes samples, and an iterable data set has no positions to take partners "
                "from: give a map-style one, or leave out 'batch'."
            )
        self._dataset, self._reader, self._collate = dataset, reader, collate
        self._augmenter = Augmenter(NoOriginals(reader.classes), pipeline, channels)
        self._batch_size = check_whole("batch_size", batch_size, 1)
        self._what = {"batch_size": self._batch_size, **self._augmenter.what}
        self._passes = Passes()
        self._place = Place(0)
        self._inner: Any = None
        self._told_inner: Any = None

    def set_epoch(self, epoch: int) -> None:
        """What the next pass is; the data set is told when it begins, in each worker, if it can be."""
        self._passes.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        try:
            place = self._place = self._passes.begin()
        except ResumeError as error:
            return failing(error)
        inner, self._inner, skip = cast(Any, self._dataset), None, 0
        if hasattr(inner, "set_epoch"):
            inner.set_epoch(place.epoch)
        if place.taken and self._told_inner is not None:
            self._inner = self._told_inner
            inner.load_state_dict(self._inner)
        elif place.taken:
            skip = place.taken * self._batch_size
        return self._given(islice(iter(inner), skip, None), place.epoch, skip)

    def _given(self, items: Iterator[Any], epoch: int, position: int) -> Iterator[Any]:
        while chunk := list(islice(items, self._batch_size)):
            originals = [self._reader.read(item, position + at) for at, item in enumerate(chunk)]
            position += len(chunk)
            self._place = replace(self._place, taken=self._place.taken + 1)
            if hasattr(self._dataset, "state_dict"):
                self._inner = self._dataset.state_dict()
            yield self._collate(self._augmenter.of(originals, epoch))

    def state_dict(self) -> dict[str, Any]:
        """Where this process is; the data set's own state is in it, if it has one.

        Raises UsageError where workers gave the batches, which alone know where they are.
        """
        place = self._passes.waiting()
        if place is not None:
            return self._state(place, self._told_inner)
        self._passes.check_in_step()
        return self._state(self._place, self._inner)

    def state_after(self, batches: int) -> dict[str, Any]:
        """The state once the loop has done so many batches since it began or went on; the data set is read
        again up to there.

        Raises UsageError where several workers gave them: which of these gave how many is for the data set to
        say, and for torchdata's ``StatefulDataLoader`` to keep.
        """
        begun = self._passes.begun()
        if begun.workers > 1:
            raise UsageError(
                f"{begun.workers} workers each read the data set in its own way: take one worker or none, or "
                "torchdata's StatefulDataLoader, which keeps the place of each."
            )
        return self._state(replace(begun, taken=begun.taken + check_whole("batches", batches, 0)), inner=None)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on there with the next pass; a data set without a state is read again up to there.

        Raises ResumeError for what is no such state, or one of another batch_size or pipeline.
        """
        wanted = ("epoch", "taken", "workers")
        if not {*wanted, "inner"} <= set(state):
            raise ResumeError(
                "The state has no 'epoch', 'taken', 'workers' and 'inner': it is none of this stream."
            )
        check_same(state, self._what)
        self._told_inner = state["inner"]
        place = Place(**{name: check_whole(name, state[name], 0) for name in wanted})
        self._passes.load(place, private=self._told_inner is not None)

    def _state(self, place: Place, inner: Any) -> dict[str, Any]:
        told = asdict(place)
        del told["start"]
        return {**self._what, **told, "inner": inner}
