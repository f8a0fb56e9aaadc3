from __future__ import annotations

import asyncio
import threading

import pytest

from synth.errors import OverloadError
from synth.serving.engine import Engine, Generation


def work(seed: int) -> Generation:
    return Generation(artifact=None, count=1, labels="any", seed=seed, start=0, mode="fast")


class Recorder:
    """Runs work by returning its seed; waits for ``gate`` each time."""

    def __init__(self, gate) -> None:
        self.gate = gate
        self.seeds: list[int] = []
        self.threads: set[str] = set()

    def __call__(self, generation: Generation) -> int:
        self.gate()
        self.seeds.append(generation.seed)
        self.threads.add(threading.current_thread().name)
        return generation.seed


async def entered(gate) -> None:
    assert await asyncio.to_thread(gate.entered.wait, 30)


def test_work_runs_in_order_on_one_thread(gate):
    async def scenario() -> None:
        run = Recorder(gate)
        gate.open.set()
        engine = Engine(run, queue_limit=8)
        engine.start()
        assert await asyncio.gather(*(engine.submit(work(seed)) for seed in range(8))) == list(range(8))
        assert run.seeds == list(range(8))
        assert run.threads == {"synth-engine"}
        await engine.shut_down(1)

    asyncio.run(scenario())


def test_shutting_down_finishes_what_was_accepted_and_refuses_the_rest(gate):
    async def scenario() -> None:
        engine = Engine(Recorder(gate), queue_limit=8)
        engine.start()
        accepted = [asyncio.create_task(engine.submit(work(seed))) for seed in range(3)]
        await entered(gate)
        ending = asyncio.create_task(engine.shut_down(30))
        await asyncio.sleep(0)
        assert engine.state == "draining"
        with pytest.raises(OverloadError, match="shutting down"):
            await engine.submit(work(9))
        gate.open.set()
        assert await asyncio.gather(*accepted) == [0, 1, 2]
        await ending
        assert engine.state == "stopped"

    asyncio.run(scenario())


def test_those_who_wait_too_long_at_the_end_are_told(gate):
    async def scenario() -> None:
        run = Recorder(gate)
        engine = Engine(run, queue_limit=8)
        engine.start()
        waiting = [asyncio.create_task(engine.submit(work(seed))) for seed in range(2)]
        await entered(gate)
        await engine.shut_down(0)
        for task in waiting:
            with pytest.raises(OverloadError, match="stopped before"):
                await task
        gate.open.set()
        await asyncio.to_thread(engine._thread.join)
        assert run.seeds == [0]

    asyncio.run(scenario())


def test_what_is_cancelled_while_it_waits_is_never_run_and_makes_room_at_once(gate):
    async def scenario() -> None:
        run = Recorder(gate)
        engine = Engine(run, queue_limit=2)
        engine.start()
        first, second = (asyncio.create_task(engine.submit(work(seed))) for seed in range(2))
        await entered(gate)
        with pytest.raises(OverloadError, match="queue is full"):
            await engine.submit(work(2))
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        third = asyncio.create_task(engine.submit(work(2)))
        gate.open.set()
        assert await asyncio.gather(first, third) == [0, 2]
        assert run.seeds == [0, 2]
        await engine.shut_down(1)

    asyncio.run(scenario())


def test_what_is_cancelled_while_it_runs_counts_until_it_is_finished(gate):
    async def scenario() -> None:
        engine = Engine(Recorder(gate), queue_limit=1)
        engine.start()
        running = asyncio.create_task(engine.submit(work(0)))
        await entered(gate)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        with pytest.raises(OverloadError, match="queue is full"):
            await engine.submit(work(1))
        gate.open.set()
        await engine.shut_down(30)

    asyncio.run(scenario())


def test_an_error_reaches_the_one_who_asked_and_nobody_else():
    def run(generation: Generation) -> int:
        if generation.seed == 1:
            raise ZeroDivisionError
        return generation.seed

    async def scenario() -> None:
        engine = Engine(run, queue_limit=8)
        engine.start()
        results = await asyncio.gather(
            *(engine.submit(work(seed)) for seed in range(3)), return_exceptions=True
        )
        assert results[::2] == [0, 2]
        assert isinstance(results[1], ZeroDivisionError)
        await engine.shut_down(1)

    asyncio.run(scenario())
