"""A PyDataset, on the backend of torch."""

from __future__ import annotations

import numpy as np
import pytest

from synth.augment import Pipeline
from synth.integrations.torch import as_stream
from tests.integrations.conftest import digest
from tests.integrations.test_examples import reader as reader
from tests.integrations.test_examples import run_examples
from tests.integrations.test_golden import EPOCH, channels_first, pipeline
from tests.integrations.test_golden import golden as golden

FLIP = Pipeline.read({"sample": ["horizontal_flip", "gaussian_noise"], "batch": ["mixup"]}, seed=3)


@pytest.fixture(scope="module")
def as_keras(tmp_path_factory):
    pytest.importorskip("keras", reason="Keras is not installed")
    from synth.integrations.keras import as_keras

    return as_keras


def pairs(batches):
    return [(images.tolist(), labels.tolist()) for images, labels in batches]


def channels_last(stream, epoch):
    stream.set_epoch(epoch)
    return pairs((images.permute(0, 2, 3, 1), labels) for images, labels in stream)


@pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning")
def test_fit_sees_the_batches_of_every_epoch_that_a_stream_has(as_keras, source):
    import keras

    part = source.subset({source[row].origin: source.ids[row] for row in range(20)}, spec="twenty")
    dataset = as_keras(part, FLIP, batch_size=8, seed=5, epoch=2)
    assert len(dataset) == 3
    stream = as_stream(part, FLIP, batch_size=8, seed=5)
    assert pairs(dataset[number] for number in range(3)) == channels_last(stream, 2)

    seen = []

    class Watching(type(dataset)):
        def __getitem__(self, number):
            batch = super().__getitem__(number)
            seen.append(batch)
            return batch

    dataset.__class__ = Watching
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")])
    model.compile(loss="categorical_crossentropy", run_eagerly=True)
    seen.clear()
    model.fit(dataset, epochs=4, initial_epoch=2, shuffle=False, verbose=0, callbacks=[dataset.each_epoch])
    wanted = channels_last(stream, 2) + channels_last(stream, 3)
    # Before them, Keras builds the model by a batch.
    assert pairs(seen)[-6:] == wanted
    dataset.set_epoch(2)
    assert pairs([dataset[2]]) == wanted[2:3]
    # Those of Keras would begin with the epoch of before.
    with pytest.raises(TypeError, match="workers"):
        as_keras(part, FLIP, batch_size=8, workers=2)


def test_images_alone_and_dictionaries_are_arrays(as_keras):
    masks = [np.eye(4, dtype=np.int64), np.eye(4, dtype=np.int64)]
    images = [np.zeros((4, 4, 3), dtype=np.uint8), np.ones((4, 4, 3), dtype=np.uint8)]
    plain = as_keras(images, Pipeline.read({"sample": ["invert"]}), batch_size=2, shuffle=False)
    assert plain[0].shape == (2, 4, 4, 3)
    targets = [{"mask": mask, "label": number} for number, mask in enumerate(masks)]
    both = as_keras(
        list(zip(images, targets, strict=True)),
        Pipeline.read({"sample": ["invert"]}),
        batch_size=2,
        shuffle=False,
    )
    made, found = both[0]
    assert made[:, 0, 0, 0].tolist() == [255, 254]
    assert found["mask"].shape == (2, 4, 4)
    assert found["label"].tolist() == [0, 1]


def test_it_gives_the_golden_samples(as_keras, source, golden):
    dataset = as_keras(source, pipeline(), batch_size=48, epoch=EPOCH)
    assert digest(channels_first(dataset[number] for number in range(len(dataset)))) == golden["mixed"]


@pytest.mark.usefixtures("as_keras", "reader")
def test_the_examples_of_the_guide_run():
    assert run_examples("keras")["images"].shape[1:] == (8, 8, 1)
