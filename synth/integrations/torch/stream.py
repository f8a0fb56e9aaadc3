"""Iterable data sets, augmented: a source in an order by key, or whatever a user's data set gives."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch.utils.data import IterableDataset

from synth.augment import Pipeline
from synth.errors import UsageError
from synth.integrations.augmenter import Augmenter, collate
from synth.integrations.order import order_of
from synth.integrations.originals import Classes, Data, Ids, Reader, classes_of, originals_of
from synth.integrations.torch.iterable import AugmentedIterable, Collate
from synth.integrations.torch.keyed import KeyedStream
from synth.integrations.turns import Turns, find_rank
from synth.randomness import check_seed


class AugmentedStream(KeyedStream):
    """The images of a source or map-style data set in batches, each once an epoch; see ``as_stream``."""

    def __init__(
        self, augmenter: Augmenter, turns: Turns, *, shuffle: bool, seed: int, collate: Collate
    ) -> None:
        super().__init__(turns, {"seed": check_seed(seed), "shuffle": shuffle, **augmenter.what})
        self._augmenter, self._collate = augmenter, collate
        self._shuffle, self._seed = shuffle, seed

    def batches(self, spans: list[tuple[int, int]], epoch: int) -> Generator[Any, None, None]:
        order = order_of(self._seed, epoch, self._turns.count) if self._shuffle else None
        for first, end in spans:
            positions = range(first, end) if order is None else order[first:end].tolist()
            yield self._collate(self._augmenter.at(positions, epoch))


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
        if not callable(ids) and ids != "content":
            raise UsageError(
                "Items of an iterable data set have no positions: ids are 'content' or a function."
            )
        _refuse_unused(seed=(seed, 0), rank=(rank, None), world=(world, None), drop_last=(drop_last, False))
        reader = Reader(type(data).__name__, ids, classes_of(data, classes))
        return AugmentedIterable(data, pipeline, channels, reader, batch_size, collate)
    augmenter = Augmenter(originals_of(data, ids, classes), pipeline, channels)
    turns = Turns(len(augmenter.originals), batch_size, *find_rank(rank, world), drop_last)
    return AugmentedStream(augmenter, turns, shuffle=shuffle, seed=seed, collate=collate)


def _refuse_unused(**given: tuple[object, object]) -> None:
    """``given``: values, each with what it is where nobody gave one."""
    for name, (value, usual) in given.items():
        if value != usual:
            raise UsageError(
                f"{name}={value!r} does nothing for an iterable data set, which keeps its own order and "
                "shares its items out by itself: leave it out, or give a map-style data set."
            )
