"""Augmentation in Keras 3, on any of its backends: a ``PyDataset`` for ``model.fit``."""

from __future__ import annotations

from typing import Any

from synth.augment import Pipeline
from synth.errors import UsageError
from synth.integrations.arrays import ArrayBatches
from synth.integrations.originals import Classes, Data, Ids
from synth.integrations.turns import check_whole

try:
    import keras
except ImportError as error:
    raise UsageError(
        f"Keras cannot be loaded ({error}). Install synth-service[keras], and set KERAS_BACKEND=torch, or "
        "install synth-service[tensorflow]."
    ) from error


class AugmentedPyDataset(keras.utils.PyDataset):  # type: ignore[misc]
    """The batches of one epoch by number; see ``as_keras``.

    Attributes:
        each_epoch: the callback by which ``fit`` tells which epoch it is. Keras calls the ``on_epoch_begin``
            and ``on_epoch_end`` of a PyDataset more often than there are epochs, which they cannot be counted
            by.
    """

    def __init__(self, batches: ArrayBatches, epoch: int) -> None:
        # Without workers of Keras: these begin before each_epoch tells which epoch it is.
        super().__init__()
        self._batches = batches
        self.each_epoch = keras.callbacks.LambdaCallback(on_epoch_begin=self._began)
        self.set_epoch(epoch)

    def set_epoch(self, epoch: int) -> None:
        """Which epoch's batches these are from here on."""
        self._epoch = check_whole("epoch", epoch, 0)
        self._order = self._batches.order(epoch)
        self._spans = list(self._batches.spans())

    def _began(self, epoch: int, logs: object) -> None:
        self.set_epoch(epoch)

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._batches)

    def __getitem__(self, number: int) -> Any:
        """One batch: images uint8 [N, H, W, C], or a pair of them and their targets."""
        first, end = self._spans[number]
        return self._batches.at(self._order[first:end].tolist(), self._epoch)


def as_keras(
    data: Data,
    pipeline: Pipeline,
    *,
    batch_size: int,
    epoch: int = 0,
    shuffle: bool = True,
    seed: int = 0,
    rank: int | None = None,
    world: int | None = None,
    drop_last: bool = False,
    ids: Ids = "content",
    classes: Classes = None,
    channels: int | None = None,
) -> AugmentedPyDataset:
    """A ``keras.utils.PyDataset`` of the batches that ``as_stream`` has for the same arguments, channels
    last.

    ``model.fit(dataset, epochs=10, shuffle=False, callbacks=[dataset.each_epoch])``: the order is drawn by
    key for each epoch already. A training that goes on says ``initial_epoch``. Batches are made in the loop.

    Args:
        data, pipeline, ids, classes, channels: see ``synth.integrations.torch.as_torch``.
        epoch: whose batches they are until ``set_epoch`` or ``each_epoch`` say another.
        batch_size, shuffle, seed, rank, world, drop_last: see ``synth.integrations.torch.as_stream``.

    Raises UsageError for arguments that do not fit.
    """
    batches = ArrayBatches(
        data,
        pipeline,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        rank=rank,
        world=world,
        drop_last=drop_last,
        ids=ids,
        classes=classes,
        channels=channels,
    )
    return AugmentedPyDataset(batches, epoch)
