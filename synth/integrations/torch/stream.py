"""Iterable data sets, augmented: a source in an order by key, or whatever a user's data set gives."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, cast

from torch.utils.data import IterableDataset

from synth.augment import Pipeline
from synth.errors import ResumeError, UsageError
from synth.integrations.augmenter import Augmenter, Item, collate
from synth.integrations.order import order_of
from synth.integrations.originals import Classes, Data, Ids, Reader, classes_of, originals_of
from synth.integrations.targets import Original
from synth.integrations.torch.epoch import Epoch
from synth.integrations.torch.keyed import KeyedStream
from synth.integrations.turns import Turns, check_whole, find_rank
from synth.randomness import check_seed

Collate = Callable[[Sequence[Item]], Any]


class AugmentedStream(KeyedStream):
    """The images of a source or map-style data set in batches, each once an epoch; see ``as_stream``."""

    def __init__(
        self, augmenter: Augmenter, turns: Turns, *, shuffle: bool, seed: int, collate: Collate
    ) -> None:
        super().__init__(turns, {"seed": check_seed(seed), "shuffle": shuffle})
        self._augmenter, self._collate = augmenter, collate
        self._shuffle, self._seed = shuffle, seed

    def batches(self, spans: list[tuple[int, int]], epoch: int) -> Generator[Any, None, None]:
        order = order_of(self._seed, epoch, self._turns.count) if self._shuffle else None
        for first, end in spans:
            positions = range(first, end) if order is None else order[first:end].tolist()
            yield self._collate(self._augmenter.at(positions, epoch))


class AugmentedIterable(IterableDataset[Any]):
    """What an iterable data set gives, augmented, in its order; see ``as_stream``.

    Whether workers and ranks share its items is the data set's own affair, as it is without augmentation.
    """

    def __init__(
        self,
        dataset: IterableDataset[Any],
        augmenter: Augmenter,
        reader: Reader,
        batch_size: int,
        collate: Collate,
    ) -> None:
        self._dataset, self._augmenter, self._reader = dataset, augmenter, reader
        self._batch_size = check_whole("batch_size", batch_size, 1)
        self._collate = collate
        self._epoch = Epoch()
        self._taken = 0
        self._inner: Any = None
        self._loaded: Mapping[str, Any] | None = None

    def set_epoch(self, epoch: int) -> None:
        """What the next pass is; the data set is told too, if it can be."""
        self._epoch.set(epoch)
        if hasattr(self._dataset, "set_epoch"):
            self._dataset.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        state, self._loaded = self._loaded, None
        self._taken, self._inner, skip = 0, None, 0
        if state is not None:
            self._taken, self._inner = state["taken"], state["inner"]
            if self._inner is None:
                skip = self._taken * self._batch_size
            else:
                cast(Any, self._dataset).load_state_dict(self._inner)
        return self._given(islice(iter(self._dataset), skip, None), self._epoch.get(), skip)

    def _given(self, items: Iterator[Any], epoch: int, position: int) -> Iterator[Any]:
        while chunk := list(islice(items, self._batch_size)):
            originals = [self._reader.read(item, position + at) for at, item in enumerate(chunk)]
            position += len(chunk)
            self._taken += 1
            if hasattr(self._dataset, "state_dict"):
                self._inner = self._dataset.state_dict()
            yield self._collate(self._augmenter.of(originals, epoch))

    def state_dict(self) -> dict[str, Any]:
        """Where this process is; the data set's own state is in it, if it has one."""
        if self._loaded is not None:
            return dict(self._loaded)
        return {"epoch": self._epoch.get(), "taken": self._taken, "inner": self._inner}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on there with the next pass; a data set without a state is read again up to there.

        Raises ResumeError for what is no such state.
        """
        if not {"epoch", "taken", "inner"} <= set(state):
            raise ResumeError("The state has no 'epoch', 'taken' and 'inner': it is none of this stream.")
        self.set_epoch(state["epoch"])
        self._loaded = {**state, "taken": check_whole("taken", state["taken"], 0)}


class _Nothing:
    """In place of positions, where there are none."""

    ids: Sequence[str] = ()

    def __init__(self, classes: tuple[str, ...] | None) -> None:
        self.classes = classes

    def __len__(self) -> int:
        return 0

    def __getitem__(self, position: int) -> Original:
        raise IndexError(position)


def as_stream(
    data: Data,
    pipeline: Pipeline,
    *,
    batch_size: int,
    shuffle: bool = True,
    seed: int = 0,
    rank: int | None = None,
    world: int | None = None,
    drop_last: bool = False,
    ids: Ids = "content",
    classes: Classes = None,
    channels: int | None = None,
    collate: Collate = collate,
) -> AugmentedStream | AugmentedIterable:
    """An iterable data set of whole batches, for ``DataLoader(stream, batch_size=None, num_workers=...)``.

    Of a source or map-style data set, each image comes once an epoch, in an order by key, shared out to ranks
    and workers. The batches and their order are those of any other number of workers, and step s of all ranks
    holds the images that it holds for any other number of ranks with as large a batch in all. Killed in the
    middle of an epoch, it goes on with ``load_state_dict`` of ``state_after(batches)`` or of a
    ``StatefulDataLoader``.

    Args:
        data: a source, or a map-style data set as in ``as_torch``; or an ``IterableDataset`` of such items,
            which keeps its own order and is shared out by itself.
        batch_size: images of a batch.
        shuffle, seed: whether the order is drawn for each epoch, by which seed.
        rank, world: which of how many processes; by default what torch.distributed or torchrun say.
        drop_last: leave out what does not fill a batch on every rank. With several ranks that wait for each
            other each step, they must have equally many batches: take True, or a count that divides.
        ids, classes, channels: see ``as_torch``.
        collate: makes a batch of items.

    Raises UsageError for arguments that do not fit.
    """
    if isinstance(data, IterableDataset):
        if pipeline.specification.batch:
            raise UsageError(
                "The pipeline mixes samples, and an iterable data set has no positions to take partners "
                "from: "
                "give a map-style one, or leave out 'batch'."
            )
        if not callable(ids) and ids != "content":
            raise UsageError(
                "Items of an iterable data set have no positions: ids are 'content' or a function."
            )
        names = classes_of(data, classes)
        reader = Reader(type(data).__name__, ids, names)
        return AugmentedIterable(
            data, Augmenter(_Nothing(names), pipeline, channels), reader, batch_size, collate
        )
    augmenter = Augmenter(originals_of(data, ids, classes), pipeline, channels)
    turns = Turns(len(augmenter.originals), batch_size, *find_rank(rank, world), drop_last)
    return AugmentedStream(augmenter, turns, shuffle=shuffle, seed=seed, collate=collate)
