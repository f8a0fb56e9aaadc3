from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from synth.errors import DeviceError, OverloadError
from synth.serving.engine import Engine
from synth.serving.problems import DeadlineError, DeviceFailureError
from tests.serving.fakes import IndexSampler, values, work


@asynccontextmanager
async def running(queue_limit: int = 64, threads: int = 1) -> AsyncIterator[Engine]:
    engine = Engine(queue_limit=queue_limit, threads=threads)
    engine.start()
    async with asyncio.timeout(30):
        yield engine
        await engine.shut_down(10)


async def entered(gate) -> None:
    assert await asyncio.to_thread(gate.entered.wait, 30)


def submit(engine: Engine, sampler: IndexSampler, *arguments, client: str = "a", **options) -> asyncio.Task:
    return asyncio.create_task(engine.submit(sampler, work(*arguments, **options), client=client))


async def queued() -> None:
    """Until the tasks made so far have submitted."""
    for _ in range(3):
        await asyncio.sleep(0)


def pixels(tensor) -> list[int]:
    return tensor.flatten().tolist()


def test_all_is_computed_on_one_thread_of_the_engines_own():
    async def scenario() -> None:
        sampler = IndexSampler()
        async with running() as engine:
            tasks = [submit(engine, sampler, 3, start=start) for start in range(0, 30, 3)]
            made = await asyncio.gather(*tasks)
            assert await engine.call(lambda: "called") == "called"
        assert [pixels(one) for one in made] == [values(3, start=start) for start in range(0, 30, 3)]
        assert sampler.threads == {"synth-engine-0"}

    asyncio.run(scenario())


def test_small_requests_share_batches_and_large_ones_are_cut(gate):
    async def scenario() -> None:
        sampler = IndexSampler(gate, bucket=8)
        async with running() as engine:
            first = submit(engine, sampler, 1, seed=2)  # the device is free: it does not wait
            await entered(gate)
            small = [submit(engine, sampler, 2, start=10 * number) for number in range(4)]
            large = submit(engine, sampler, 20, seed=1)
            await queued()
            gate.open.set()
            assert pixels(await first) == values(1, seed=2)
            assert [pixels(await one) for one in small] == [values(2, start=10 * n) for n in range(4)]
            assert pixels(await large) == values(20, seed=1)
        assert [len(batch) for batch in sampler.batches] == [1, 8, 8, 8, 4]
        assert sampler.batches[1] == [(0, 10 * number + row) for number in range(4) for row in range(2)]

    asyncio.run(scenario())


def test_models_modes_and_parameters_do_not_share_batches(gate):
    async def scenario() -> None:
        one, two = IndexSampler(gate), IndexSampler()
        async with running() as engine:
            tasks = [submit(engine, one, 1)]
            await entered(gate)
            tasks += [
                submit(engine, one, 2, mode="exact"),
                submit(engine, one, 2, warmth=1.0),
                submit(engine, one, 2, warmth=2.0),
                submit(engine, two, 2),
                submit(engine, two, 2, start=2),
            ]
            await queued()
            gate.open.set()
            await asyncio.gather(*tasks)
        assert [len(batch) for batch in one.batches] == [1, 2, 2, 2]
        assert [len(batch) for batch in two.batches] == [4]

    asyncio.run(scenario())


def test_a_large_request_does_not_keep_another_client_waiting(gate):
    async def scenario() -> None:
        sampler = IndexSampler(gate, bucket=32)
        async with running() as engine:
            large = submit(engine, sampler, 1000, client="greedy")
            await entered(gate)
            small = submit(engine, sampler, 10, start=200, client="modest")
            await queued()
            gate.open.set()
            await asyncio.gather(small, large)
        assert {(0, 200 + row) for row in range(10)} <= set(sampler.batches[1])
        assert len(sampler.made) == 1010

    asyncio.run(scenario())


def test_samples_come_as_they_are_made(gate):
    async def scenario() -> None:
        sampler = IndexSampler(bucket=8)
        async with running() as engine:
            with engine.accept(sampler, work(20)) as ticket:
                parts = [await ticket.get() for _ in range(3)]
        assert [pixels(part) for part in parts] == [values(8), values(8, start=8), values(4, start=16)]

    asyncio.run(scenario())


def test_batches_of_several_threads_are_put_in_order_again(gate):
    """The first batch is held back until all others are done."""

    def hold_the_first() -> None:
        if len(sampler.batches) == 1:
            gate()

    sampler = IndexSampler(hold_the_first, bucket=8)

    async def scenario() -> None:
        async with running(threads=2) as engine:
            with engine.accept(sampler, work(40)) as ticket:
                await entered(gate)
                while ticket.landed < 32:
                    await asyncio.sleep(0)
                gate.open.set()
                parts = [pixels(await ticket.get()) for _ in range(5)]
        assert [value for part in parts for value in part] == values(40)
        assert sampler.threads == {"synth-engine-0", "synth-engine-1"}

    asyncio.run(scenario())


def test_a_sampler_that_belongs_to_one_thread_is_run_by_one_at_a_time():
    busy, overlaps = [], []

    def enter() -> None:
        busy.append(1)
        overlaps.append(len(busy))
        busy.pop()

    sampler = IndexSampler(enter, bucket=1)
    sampler.concurrent = False

    async def scenario() -> None:
        async with running(threads=3) as engine:
            await engine.submit(sampler, work(200))

    asyncio.run(scenario())
    assert set(overlaps) == {1}


def test_what_is_cancelled_while_it_waits_is_never_computed_and_makes_room_at_once(gate):
    async def scenario() -> None:
        sampler = IndexSampler(gate)
        async with running(queue_limit=2) as engine:
            first = submit(engine, sampler, 1, seed=0)
            await entered(gate)
            second = submit(engine, sampler, 5, seed=1)
            await queued()
            with pytest.raises(OverloadError, match="queue is full"):
                await engine.submit(sampler, work(1, seed=2))
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)
            assert engine.counters.rows_dropped == 5
            third = submit(engine, sampler, 1, seed=2)
            await queued()
            gate.open.set()
            await asyncio.gather(first, third)
        assert {seed for seed, _ in sampler.made} == {0, 2}

    asyncio.run(scenario())


def test_rows_of_those_who_have_gone_are_not_wanted_and_counted_until_they_are_back(gate):
    async def scenario() -> None:
        sampler = IndexSampler(gate)
        released = []
        async with running(queue_limit=1) as engine:
            with engine.accept(sampler, work(3), release=lambda: released.append(True)):
                await entered(gate)
            assert not released
            with pytest.raises(OverloadError, match="queue is full"):
                await engine.submit(sampler, work(1))
            gate.open.set()
            await engine.shut_down(10)
        assert sampler.wanted == [[False, False, False]]
        assert released == [True]
        assert engine.counters.rows_for_nobody == 3

    asyncio.run(scenario())


def test_a_deadline_that_cannot_be_kept_is_refused_with_the_time_to_come_back(gate):
    async def scenario() -> None:
        sampler = IndexSampler(gate, seconds=2.0)
        released = []
        async with running() as engine:
            now = asyncio.get_running_loop().time()
            waiting = submit(engine, sampler, 5)
            await entered(gate)
            says = r"would take about 1[0-9]\.[0-9] s, and its deadline is in (9|10)"
            with pytest.raises(OverloadError, match=says) as refused:
                await engine.submit(
                    sampler, work(1), deadline=now + 10, release=lambda: released.append(True)
                )
            assert 5 <= refused.value.retry_after_seconds <= 20
            assert released == [True]
            gate.open.set()
            await waiting

    asyncio.run(scenario())


def test_a_deadline_that_passes_in_the_queue_is_told_at_once_and_nothing_is_computed(gate):
    async def scenario() -> None:
        sampler = IndexSampler(gate)
        async with running() as engine:
            running_one = submit(engine, sampler, 1)
            await entered(gate)
            soon = asyncio.get_running_loop().time() + 0.01
            with pytest.raises(DeadlineError):
                await engine.submit(sampler, work(4, seed=1), deadline=soon)
            gate.open.set()
            await running_one
        assert sampler.made == [(0, 0)]

    asyncio.run(scenario())


def test_what_was_learnt_of_slow_batches_enters_the_prediction():
    async def scenario() -> None:
        sampler = IndexSampler(seconds=1e-9)  # warm-up was wrong by far
        async with running() as engine:
            for _ in range(30):
                await engine.submit(sampler, work(8))
            assert engine.predict(sampler, work(8)) > 1e-7

    asyncio.run(scenario())


def test_an_error_reaches_all_of_its_batch_and_nobody_else(gate):
    def fail() -> None:
        gate()
        if len(sampler.batches) == 2:
            raise DeviceError("the device is out of order")

    sampler = IndexSampler(fail, bucket=4)

    async def scenario() -> None:
        async with running() as engine:
            first = submit(engine, sampler, 1)
            await entered(gate)
            broken = [submit(engine, sampler, 2, seed=1), submit(engine, sampler, 100, seed=2)]
            await queued()
            gate.open.set()
            outcomes = await asyncio.gather(first, *broken, return_exceptions=True)
            assert pixels(outcomes[0]) == [0]
            assert [type(outcome) for outcome in outcomes[1:]] == [DeviceFailureError] * 2
            assert pixels(await engine.submit(sampler, work(1))) == [0]
            assert engine.waiting_rows == 0
        assert len(sampler.made) < 20  # what was left of the second broken one was not computed

    asyncio.run(scenario())


def test_shutting_down_finishes_what_was_accepted_and_refuses_the_rest(gate):
    async def scenario() -> None:
        sampler = IndexSampler(gate)
        async with running() as engine:
            accepted = [submit(engine, sampler, 1, start=start) for start in range(3)]
            await entered(gate)
            ending = asyncio.create_task(engine.shut_down(30))
            await asyncio.sleep(0)
            assert engine.state == "draining"
            with pytest.raises(OverloadError, match="shutting down"):
                await engine.submit(sampler, work(1))
            gate.open.set()
            assert [pixels(one) for one in await asyncio.gather(*accepted)] == [[0], [1], [2]]
            await ending
            assert engine.state == "stopped"
            with pytest.raises(OverloadError, match="shutting down"):
                await engine.call(lambda: None)

    asyncio.run(scenario())


def test_those_who_wait_too_long_at_the_end_are_told(gate):
    async def scenario() -> None:
        sampler = IndexSampler(gate, bucket=1)
        async with running() as engine:
            waiting = [submit(engine, sampler, 1, seed=seed) for seed in range(2)]
            await entered(gate)
            await engine.shut_down(0)
            for task in waiting:
                with pytest.raises(OverloadError, match="stopped before"):
                    await task
            gate.open.set()
            await asyncio.to_thread(engine._device.threads[0].join)
        assert sampler.made == [(0, 0)]

    asyncio.run(scenario())
