"""Steps that the device's memory cannot hold."""

from __future__ import annotations

import pytest
import torch

from synth.artifacts import Store
from synth.data import load_images, open_source
from synth.errors import MemoryExceededError
from synth.models.program import ImageShape
from synth.training.batches import KeyedBatches
from synth.training.memory import memory_exceeded
from synth.training.vae import VAEModule


@pytest.fixture
def room(monkeypatch):
    """``room(5)``: batches of more images than that run out of memory; the sizes that were tried."""

    def limit(images: int) -> list[int]:
        tried: list[int] = []
        loss = VAEModule.loss

        def starved(self, batch, *rest):
            tried.append(len(batch))
            if len(batch) > images:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB.")
            return loss(self, batch, *rest)

        monkeypatch.setattr(VAEModule, "loss", starved)
        return tried

    return limit


def test_the_memory_of_a_cpu_is_answered_alike(tiny, source, monkeypatch):
    def starved(self, *batch):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes.")

    monkeypatch.setattr(VAEModule, "loss", starved)
    with pytest.raises(MemoryExceededError, match=r"memory of cpu. Not even one image fits"):
        tiny.fit(source)


def test_with_several_devices_the_whole_batch_is_named(tiny, source, room):
    room(5)
    images = load_images(open_source(source))
    module = VAEModule(tiny.recipe(), ImageShape(1, 8, 8), 2)
    error = memory_exceeded(module, KeyedBatches(images, 16, 0, 0), torch.device("cpu"), 2)
    assert "A batch of 8 fits" in str(error)


def test_a_batch_that_memory_cannot_hold_is_answered_with_one_that_fits(tiny, source, room):
    tried = room(5)
    with pytest.raises(
        MemoryExceededError,
        match=r"^A batch of 16 images of 8 x 8, grey does not fit into the memory of cpu. A batch of 4 fits: "
        r"start again with --batch-size 4.$",
    ):
        tiny.fit(source)
    assert tried == [16, 8, 4]
    assert Store().list() == []
    assert tiny.fit(source, recipe=tiny.recipe(batch_size=4)).manifest.reference == "toy@1"


def test_where_not_even_one_image_fits_other_settings_are_named(tiny, source, room):
    room(0)
    with pytest.raises(MemoryExceededError, match=r"Not even one image fits: choose a smaller --size"):
        tiny.fit(source)
