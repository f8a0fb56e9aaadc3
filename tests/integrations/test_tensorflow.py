"""A tf.data.Dataset; these tests run where TensorFlow is installed (the extra ``tensorflow``)."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from synth.augment import Pipeline
from synth.errors import UsageError
from synth.integrations.torch import as_stream

tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed"
)
MIX = Pipeline.read({"sample": ["horizontal_flip", "gaussian_noise"], "batch": ["mixup"]}, seed=3)
FLIP = Pipeline.read({"sample": [{"operation": "horizontal_flip", "probability": 1.0}]})


def pairs(batches):
    return [(images.tolist(), labels.tolist()) for images, labels in batches]


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed")
def test_without_tensorflow_the_extra_is_named():
    with pytest.raises(UsageError, match=r"synth-service\[tensorflow\]"):
        importlib.import_module("synth.integrations.tensorflow")


@tensorflow
def test_the_epochs_of_a_dataset_are_those_of_a_stream(source):
    from synth.integrations.tensorflow import as_tf

    dataset = as_tf(source, MIX, batch_size=100, seed=5, epoch=2, epochs=2)
    assert len(dataset) == 6
    stream = as_stream(source, MIX, batch_size=100, seed=5)
    wanted = []
    for epoch in (2, 3):
        stream.set_epoch(epoch)
        wanted += pairs((images.permute(0, 2, 3, 1), labels) for images, labels in stream)
    made = pairs((images.numpy(), labels.numpy()) for images, labels in dataset)
    assert made == wanted
    later = as_tf(source, MIX, batch_size=100, seed=5, epoch=2, epochs=2, batches_done=4)
    assert pairs((images.numpy(), labels.numpy()) for images, labels in later) == wanted[4:]
    with pytest.raises(UsageError, match="nothing left"):
        as_tf(source, MIX, batch_size=100, batches_done=3)


@tensorflow
def test_boxes_are_ragged_and_images_of_several_sizes_are_refused():
    import tensorflow as tf

    from synth.integrations.tensorflow import as_tf

    image = np.zeros((4, 6, 3), dtype=np.uint8)
    data = [(image, {"boxes": [[0.0, 0.0, 2.0, 2.0]] * count, "labels": [3] * count}) for count in (2, 0, 1)]
    ((images, targets),) = as_tf(data, FLIP, batch_size=3, shuffle=False)
    assert images.shape == (3, 4, 6, 3)
    assert targets["boxes"].to_list() == [[[4, 0, 6, 2]] * count for count in (2, 0, 1)]
    assert targets["labels"].to_list() == [[3, 3], [], [3]]
    with pytest.raises(tf.errors.OpError, match="resized_crop"):
        list(as_tf([image, image[:3]], FLIP, batch_size=1, shuffle=False))
