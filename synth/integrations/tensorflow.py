"""Augmentation in TensorFlow: a ``tf.data.Dataset``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from synth.augment import Pipeline
from synth.errors import SourceError, UsageError
from synth.integrations.arrays import ArrayBatches
from synth.integrations.originals import Classes, Data, Ids
from synth.integrations.turns import check_whole

try:
    import tensorflow as tf
except ImportError as error:
    raise UsageError(
        f"TensorFlow cannot be loaded ({error}). Install synth-service[tensorflow], or tensorflow-cpu."
    ) from error


def as_tf(
    data: Data,
    pipeline: Pipeline,
    *,
    batch_size: int,
    epoch: int = 0,
    epochs: int = 1,
    batches_done: int = 0,
    shuffle: bool = True,
    seed: int = 0,
    rank: int | None = None,
    world: int | None = None,
    drop_last: bool = False,
    ids: Ids = "content",
    classes: Classes = None,
    channels: int | None = None,
) -> tf.data.Dataset:
    """A ``tf.data.Dataset`` of the batches that ``as_stream`` has for the same arguments, channels last.

    Images are uint8 [N, H, W, C]; targets as ``synth.integrations.torch.collate`` makes them, with what a
    sample has several of as ragged tensors. The batches of all epochs come one after the other, the next few
    made in the background: ``fit(dataset, epochs=10, steps_per_epoch=len(dataset) // 10)``.

    Args:
        data, pipeline, ids, classes, channels: see ``synth.integrations.torch.as_torch``.
        epoch, epochs: the first one, and how many.
        batches_done: of the first epoch, which are left out, to go on in the middle of it.
        batch_size, shuffle, seed, rank, world, drop_last: see ``synth.integrations.torch.as_stream``.

    Raises UsageError for arguments that do not fit, SourceError for images without one shape.
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
    count = check_whole("epochs", epochs, 1) * len(batches) - check_whole("batches_done", batches_done, 0)
    if count < 1:
        raise UsageError(
            f"{batches_done} batches are done of {epochs * len(batches)}: there is nothing left."
        )
    signature = _signature(batches.at([0], check_whole("epoch", epoch, 0)))

    def made() -> Iterator[Any]:
        done = batches_done
        for number in range(epoch, epoch + epochs):
            order = batches.order(number)
            for first, end in batches.spans(done):
                yield _checked(batches.at(order[first:end].tolist(), number), signature)
            done = max(0, done - len(batches))

    dataset = tf.data.Dataset.from_generator(made, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(count)).prefetch(tf.data.AUTOTUNE)


def _signature(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_signature(one) for one in value)
    if isinstance(value, Mapping):
        return {name: _signature(one) for name, one in value.items()}
    if isinstance(value, list) and isinstance(value[0], np.ndarray):
        one = value[0]
        return tf.RaggedTensorSpec((None, None, *one.shape[1:]), tf.as_dtype(one.dtype), ragged_rank=1)
    array = np.asarray(value)
    return tf.TensorSpec((None, *array.shape[1:]), tf.as_dtype(array.dtype))


def _checked(value: Any, signature: Any) -> Any:
    """As the signature says; TensorFlow itself would not name what is wrong."""
    if isinstance(value, tuple):
        return tuple(_checked(one, spec) for one, spec in zip(value, signature, strict=True))
    if isinstance(value, Mapping):
        return {name: _checked(one, signature[name]) for name, one in value.items()}
    if isinstance(signature, tf.RaggedTensorSpec):
        return tf.RaggedTensor.from_row_lengths(np.concatenate(value), [len(one) for one in value])
    array = np.asarray(value)
    if not signature.shape.is_compatible_with(array.shape):
        raise SourceError(
            f"A batch has the shape {[*array.shape]} and the first sample {[*signature.shape[1:]]}: let the "
            "pipeline end in resized_crop with a size, or give 'channels' where some are grey and some of "
            "colour."
        )
    return array
