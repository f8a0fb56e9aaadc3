"""The queue on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from synth.errors import NotFoundError, OverloadError, UsageError
from synth.jobs.leases import LEASE_SECONDS, LeaseLostError
from synth.jobs.queue import JobMismatchError

KINDS = {"generate", "train"}
BODY = {"count": 3, "seed": 2**64 - 1, "labels": {"b": 1, "a": 2}, "odd": "\ud800\x00é"}


def add(queue, *ids, **options):
    return [queue.create(id, "generate", BODY, **options)[0] for id in ids]


def test_a_job_is_made_once_and_told_again_when_it_is_repeated(queue):
    made, new = queue.create("mine", "generate", BODY, pinned={"model": "pets@2"}, client="ab12")
    again, newer = queue.create("mine", "generate", BODY, pinned={"model": "pets@3"})
    assert (new, newer) == (True, False)
    assert again == made == queue.get("mine")
    assert (made.state, made.body, made.pinned, made.client) == ("queued", BODY, {"model": "pets@2"}, "ab12")


@pytest.mark.parametrize(("kind", "body"), [("train", BODY), ("generate", BODY | {"count": 4})])
def test_an_id_that_stands_for_another_body_is_refused(queue, kind, body):
    add(queue, "mine")
    with pytest.raises(JobMismatchError, match="asked for with another body"):
        queue.create("mine", kind, body)


@pytest.mark.parametrize("id", ["", "../x", "a/b", ".hidden", "-x", "a" * 65, "a b", "é", "a\n", "a\0"])
def test_ids_that_could_be_paths_are_refused(queue, id):
    with pytest.raises(UsageError, match="A job cannot be called"):
        queue.create(id, "generate", BODY)


def test_an_unknown_job_is_not_found(queue):
    for call in (queue.get, queue.cancel, queue.retry, queue.events):
        with pytest.raises(NotFoundError, match="no job 'nobody'"):
            call("nobody")


def test_jobs_are_claimed_in_their_order_by_workers_that_know_their_kind(queue):
    add(queue, "a", "b")
    queue.create("c", "train", {})
    assert [queue.claim("w", {"train"}).id, queue.claim("w", {"train"})] == ["c", None]
    assert [queue.claim("w", KINDS).id, queue.claim("w", KINDS).id, queue.claim("w", KINDS)] == [
        "a",
        "b",
        None,
    ]
    running = queue.get("a")
    assert (running.state, running.worker, running.attempt, running.started) == ("running", "w", 1, 1e6)


def test_the_newest_jobs_are_listed_first_in_pages_and_by_state_and_kind(queue):
    jobs = add(queue, *"abcd")
    queue.create("t", "train", {})
    queue.cancel("b")
    first = queue.list(limit=2)
    assert [job.id for job in first] == ["t", "d"]
    assert [job.id for job in queue.list(before=first[-1].number)] == ["c", "b", "a"]
    assert [job.id for job in queue.list(state="queued", kind="generate", before=jobs[3].number)] == [
        "c",
        "a",
    ]
    assert [job.id for job in queue.list(state="cancelled")] == ["b"]


def test_many_claimers_share_the_jobs_and_none_is_claimed_twice(open_queue):
    ids = [f"job{number}" for number in range(40)]
    add(open_queue(), *ids)
    queues = [open_queue(busy_seconds=60) for _ in range(8)]
    ready = threading.Barrier(len(queues))

    def work(queue):
        claimed = []
        ready.wait()
        while (job := queue.claim(threading.current_thread().name, KINDS)) is not None:
            claimed.append(job.id)
            queue.succeed(job, {}, None)
        return claimed

    with ThreadPoolExecutor(len(queues)) as pool:
        claimed = [id for one in pool.map(work, queues) for id in one]
    assert sorted(claimed) == sorted(ids)


def test_many_clients_that_make_the_same_job_make_one(open_queue):
    queues = [open_queue(busy_seconds=60) for _ in range(6)]
    ready = threading.Barrier(len(queues))

    def make(queue):
        ready.wait()
        return queue.create("same", "generate", BODY)

    with ThreadPoolExecutor(len(queues)) as pool:
        made = list(pool.map(make, queues))
    assert sum(new for _, new in made) == 1
    assert len({job.number for job, _ in made}) == 1


def test_a_heartbeat_keeps_a_job_and_silence_loses_it(queue, clock):
    add(queue, "a")
    job = queue.claim("first", KINDS)
    clock.now += LEASE_SECONDS - 1
    assert queue.heartbeat(job, None) is False
    clock.now += LEASE_SECONDS - 1
    assert queue.claim("second", KINDS) is None
    clock.now += 1
    again = queue.claim("second", KINDS)
    assert (again.id, again.attempt, again.crashes, again.worker) == ("a", 2, 1, "second")


def test_a_worker_that_lost_its_job_cannot_say_anything_of_it(queue, clock):
    add(queue, "a")
    lost = queue.claim("slow", KINDS)
    clock.now += LEASE_SECONDS
    job = queue.claim("next", KINDS)
    for say in (
        lambda: queue.heartbeat(lost, {"done": 1}),
        lambda: queue.succeed(lost, {"dataset": "wrong"}, None),
        lambda: queue.fail(lost, {"code": "x"}),
        lambda: queue.stopped(lost),
        lambda: queue.release(lost),
    ):
        with pytest.raises(LeaseLostError, match="silent for too long"):
            say()
    assert queue.get("a") == job
    queue.succeed(job, {"dataset": "a"}, {"done": 3})
    assert (queue.get("a").result, queue.get("a").progress) == ({"dataset": "a"}, {"done": 3})
    with pytest.raises(LeaseLostError):
        queue.succeed(job, {}, None)


def test_the_same_worker_under_an_older_attempt_is_another_worker(queue, clock):
    add(queue, "a")
    lost = queue.claim("w", KINDS)
    clock.now += LEASE_SECONDS
    queue.claim("w", KINDS)
    with pytest.raises(LeaseLostError):
        queue.heartbeat(lost, None)


def test_a_job_that_kills_its_workers_fails_and_says_so(queue, clock):
    add(queue, "deadly", "other")
    for crashes in range(3):
        job = queue.claim("w", KINDS)
        assert (job.id, job.crashes) == ("deadly", crashes)
        clock.now += LEASE_SECONDS
    assert queue.claim("w", KINDS).id == "other"
    failed = queue.get("deadly")
    assert (failed.state, failed.error["code"]) == ("failed", "crashed")
    assert "3 workers in turn died" in failed.error["detail"]


def test_a_worker_known_to_be_dead_loses_its_jobs_at_once(queue):
    add(queue, "a", "b")
    queue.claim("dead", KINDS)
    queue.claim("alive", KINDS)
    queue.lapse("dead")
    assert (queue.claim("next", KINDS).id, queue.claim("next", KINDS)) == ("a", None)


def test_a_released_job_is_no_crash_and_waits_for_its_delay(queue, clock):
    add(queue, "a")
    queue.release(queue.claim("w", KINDS), delay_seconds=5)
    assert queue.claim("w", KINDS) is None
    clock.now += 5
    job = queue.claim("w", KINDS)
    assert (job.attempt, job.crashes) == (2, 0)


def test_cancelling_stops_waiting_jobs_at_once_and_running_ones_at_their_next_heartbeat(queue, clock):
    add(queue, "a", "b", "c")
    running = queue.claim("w", KINDS)
    assert (queue.cancel("a").state, queue.cancel("a").cancelling) == ("running", True)
    assert queue.cancel("b").state == "cancelled"
    assert queue.heartbeat(running, None) is True
    queue.stopped(running)
    ended = queue.get("a")
    assert (ended.state, ended.cancelling, ended.finished) == ("cancelled", False, clock.now)
    assert queue.cancel("a") == ended
    queue.claim("w", KINDS)
    queue.cancel("c")
    clock.now += LEASE_SECONDS  # its worker dies before it hears of that
    assert queue.claim("w", KINDS) is None
    assert queue.get("c").state == "cancelled"


def test_a_failed_job_can_be_tried_again_and_others_cannot(queue):
    add(queue, "a")
    with pytest.raises(UsageError, match="is queued"):
        queue.retry("a")
    queue.fail(queue.claim("w", KINDS), {"code": "storage-failed", "title": "x", "detail": "full"})
    assert queue.retry("a").state == "queued"
    job = queue.claim("w", KINDS)
    assert (job.attempt, job.error, job.finished) == (2, None, None)


def test_events_are_numbered_for_each_job_and_can_be_read_from_any(queue, clock):
    add(queue, "a", "other")
    job = queue.claim("w", KINDS)
    for done in (1, 1, 2):
        clock.now += 1
        queue.heartbeat(job, {"done": done})
    queue.succeed(job, {"dataset": "a"}, None)
    _, events = queue.events("a")
    assert [(event.number, event.type) for event in events] == [
        (1, "state"), (2, "state"), (3, "progress"), (4, "progress"), (5, "state"),
    ]  # fmt: skip
    assert [event.data.get("state") for event in events] == ["queued", "running", None, None, "succeeded"]
    assert events[-1].data["result"] == {"dataset": "a"}
    ended, rest = queue.events("a", after=3)
    assert (ended.final, [event.number for event in rest]) == (True, [4, 5])
    assert queue.events("a", after=99)[1] == []


def test_old_progress_is_forgotten_and_states_are_not(queue):
    add(queue, "a")
    job = queue.claim("w", KINDS)
    for done in range(130):
        queue.heartbeat(job, {"done": done})
    _, events = queue.events("a")
    assert [event.number for event in events[:3]] == [1, 2, 33]
    assert events[-1].data == {"done": 129}


def test_no_more_jobs_are_taken_than_may_be_open(queue):
    add(queue, "a", "b", most_open=2)
    with pytest.raises(OverloadError, match="2 jobs are waiting or running") as caught:
        add(queue, "c", most_open=2)
    assert caught.value.retry_after_seconds == 30
    assert add(queue, "a", most_open=2)[0].id == "a"
    queue.cancel("a")
    add(queue, "c", most_open=2)
