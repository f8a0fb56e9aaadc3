"""What one client can have a server remember and work on for pipelines."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest
import torch

from synth.augment import Pipeline, Samples
from synth.augment.text import read_text
from synth.errors import ConfigError, NotFoundError
from synth.serving import pipelines
from synth.serving.augment_plan import Part
from synth.serving.augment_threads import Augmenter
from synth.serving.memory import Memory
from synth.serving.pipelines import Pipelines
from synth.serving.problems import DeadlineError


def test_pipelines_are_remembered_up_to_so_many_characters_of_each_client_and_of_all(store, monkeypatch):
    texts = [f"sample: [{{operation: blur, id: b{number}}}]" for number in range(6)]
    monkeypatch.setattr(pipelines, "_MOST_OF_CLIENT", 2 * len(texts[0]))
    monkeypatch.setattr(pipelines, "_MOST_SEEN", 4 * len(texts[0]))
    known = Pipelines(store)

    async def remembered(*sent: tuple[str, int]) -> list[int]:
        for client, number in sent:
            await known.find(texts[number], client)
        found = []
        for number, text in enumerate(texts):
            try:
                await known.find(Pipeline.read(read_text(text, "It")).specification.digest, "c")
                found.append(number)
            except NotFoundError:
                pass
        return found

    # One that sends many forgets its own, and not those of others.
    assert asyncio.run(remembered(("a", 0), *(("b", number) for number in (1, 2, 3)))) == [0, 2, 3]
    assert asyncio.run(remembered(("c", 4), ("d", 5))) == [2, 3, 4, 5]


def test_an_alias_is_told_from_a_word_and_depth_is_bounded():
    assert read_text("a: &x [1]\nb: *x", "It") == {"a": [1], "b": [1]}
    with pytest.raises(ConfigError, match="more than 64 deep"):
        read_text("- " * 5000, "It")


@pytest.mark.parametrize("ends", ["deadline", "cancelled"])
def test_a_part_ends_before_its_next_operation_once_nobody_waits_for_it(ends):
    begun = threading.Event()

    def run(samples, epoch, partners, *, check):
        begun.set()
        while True:
            check()

    work = SimpleNamespace(pipeline=SimpleNamespace(run=run), partners=None, largest=lambda samples: 1)
    part = Part((0,), Samples(torch.zeros((1, 1, 2, 2), dtype=torch.uint8), ("a",)), 0)

    async def scenario() -> None:
        memory = Memory(1000)
        augmenter = Augmenter(memory, SimpleNamespace(augmented=print), limit=1)
        left = 0.01 if ends == "deadline" else 1000
        deadline = asyncio.get_running_loop().time() + left
        task = asyncio.create_task(augmenter.run(work, part, deadline=deadline))
        if ends == "cancelled":
            await asyncio.to_thread(begun.wait)
            task.cancel()
        with pytest.raises(asyncio.CancelledError if ends == "cancelled" else DeadlineError):
            await task
        assert memory.used == 0
        augmenter.close()

    asyncio.run(scenario())


def test_a_pipeline_is_checked_before_each_of_its_operations():
    images = torch.zeros((2, 3, 4, 4), dtype=torch.uint8)
    calls: list[int] = []
    pipeline = Pipeline.read({"sample": ["grey", "invert", {"one_of": ["blur"]}]})
    pipeline.run(Samples(images, ("a", "b")), check=lambda: calls.append(1))
    assert len(calls) == 3
