"""Workers: jobs that are done, killed, cancelled, handed over, and that fail."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import synth.data.writers.formats
import synth.data.writers.imagefolder as imagefolder
import synth.jobs.generate
from synth.errors import StorageError
from synth.jobs.dataset_bodies import GenerateBody
from synth.jobs.kinds import KINDS
from synth.jobs.settings import WorkerSettings
from synth.jobs.worker import Worker
from synth.serving.archive import DatasetArchive


@pytest.fixture
def queue(home_queue):
    return home_queue


def archive(settings, id):
    made = DatasetArchive(settings.jobs_folder / id / "dataset")
    return made.read(0, made.size)


def states(queue, id):
    return [event.data["state"] for event in queue.events(id)[1] if event.type == "state"]


def test_a_generate_job_makes_a_data_set_with_progress_and_a_preview(queue, put, work, settings):
    put("mine", labels={"kind0": 30, "kind1": 10})
    work()
    job = queue.get("mine")
    assert (job.state, job.error) == ("succeeded", None)
    assert job.result | {"bytes": 0, "digest": ""} == {
        "dataset": "mine", "model": "toys@1", "digest": "", "count": 40, "format": "imagefolder",
        "classes": ["kind0", "kind1"], "class_counts": [30, 10], "files": 41, "bytes": 0,
    }  # fmt: skip
    assert (job.progress["done"], job.progress["total"], job.progress["share"]) == (40, 40, 1.0)
    assert job.progress["images_per_second"] > 0
    assert job.progress["eta_seconds"] == 0
    assert (settings.jobs_folder / "mine" / "preview.png").read_bytes().startswith(b"\x89PNG")
    assert states(queue, "mine") == ["queued", "running", "succeeded"]


def test_a_worker_killed_mid_job_loses_nothing_and_the_result_is_the_same_to_the_last_byte(
    queue, put, work, settings
):
    put("killed")
    script = Path(__file__).with_name("killed.py")
    done = subprocess.run([sys.executable, str(script), "SIGKILL", "3"], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = queue.get("killed")
    assert (left.state, left.worker, left.attempt) == ("running", "killed", 1)
    put("whole")
    work()
    assert queue.get("killed").state == "running"  # its lease lasts a while, and another job was done
    queue.lapse("killed")
    work()
    resumed = queue.get("killed")
    assert (resumed.state, resumed.attempt, resumed.crashes) == ("succeeded", 2, 1)
    assert archive(settings, "killed") == archive(settings, "whole")


@pytest.fixture
def at_shard(monkeypatch):
    """Calls something once, when the second shard of a data set is begun."""

    def install(act):
        whole, begun = imagefolder.write_shard, []

        def write_shard(staging, number, batches, encoding):
            begun.append(number)
            if len(begun) == 2:
                act()
            return whole(staging, number, batches, encoding)

        form = synth.data.writers.formats.FORMATS["imagefolder"]
        monkeypatch.setitem(
            synth.data.writers.formats.FORMATS,
            "imagefolder",
            type(form)(form.name, write_shard, form.finish),
        )
        return begun

    return install


def test_a_worker_that_is_told_to_stop_gives_its_job_back_at_the_next_shard(
    queue, put, work, settings, at_shard
):
    put("mine")
    begun = at_shard(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert work()[-1] == "Job mine is given back; it will go on from here."
    given_back = queue.get("mine")
    assert (given_back.state, given_back.worker, given_back.crashes) == ("queued", None, 0)
    assert len(begun) < 4
    work()
    assert states(queue, "mine") == ["queued", "running", "queued", "running", "succeeded"]
    put("whole")
    work()
    assert archive(settings, "mine") == archive(settings, "whole")


def test_a_cancelled_job_stops_at_its_next_shard(queue, put, settings, at_shard):
    quick = settings.model_copy(update={"lease_seconds": 0.5})
    put("mine", count=400)
    beats = threading.Event()
    beating = quick.queue()
    heartbeat = beating.heartbeat

    def tell(job, progress):
        cancelling = heartbeat(job, progress)
        if cancelling:
            beats.set()
        return cancelling

    beating.heartbeat = tell

    def cancel():
        queue.cancel("mine")
        assert beats.wait(30)

    begun = at_shard(cancel)
    Worker(beating, quick).run(until_idle=True)
    beating.database.close()
    job = queue.get("mine")
    assert (job.state, job.result) == ("cancelled", None)
    assert len(begun) < 5
    assert states(queue, "mine") == ["queued", "running", "running", "cancelled"]


def test_a_worker_that_was_silent_for_too_long_stops_and_says_nothing(queue, put, work, settings, at_shard):
    put("mine", count=400)
    lost = threading.Event()
    slow = settings.queue()
    heartbeat = slow.heartbeat

    def tell(job, progress):
        if not lost.is_set():
            return False  # nobody hears it
        return heartbeat(job, progress)

    slow.heartbeat, slow.lease_seconds = tell, 0.2

    def fall_behind():
        queue.lapse("slow")
        assert queue.claim("next", KINDS).attempt == 2
        lost.set()

    begun = at_shard(fall_behind)
    said = []
    Worker(slow, settings, name="slow", say=said.append).run(until_idle=True)
    slow.database.close()
    assert len(begun) <= 40
    assert said[-1] == "Job mine was taken by another worker."
    job = queue.get("mine")
    assert (job.state, job.worker) == ("running", "next")
    queue.lapse("next")
    work()
    assert queue.get("mine").result["count"] == 400


def test_a_folder_in_which_a_lost_worker_still_works_is_left_alone(queue, put, work, settings):
    put("mine")
    folder = settings.jobs_folder / "mine"
    folder.mkdir(parents=True)
    with (folder / ".lock").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        said = work()
    assert f"Another worker is still at work in {folder}." in said
    job = queue.get("mine")
    assert (job.state, job.crashes) == ("queued", 0)
    assert queue.claim("w", KINDS) is None  # for a few seconds


def test_a_full_disk_fails_the_job_and_what_is_finished_stays_for_another_try(
    queue, put, work, settings, at_shard
):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    at_shard(full)
    put("mine")
    work()
    job = queue.get("mine")
    assert (job.state, job.error["code"]) == ("failed", StorageError.code)
    assert "The disk is full" in job.error["detail"]
    assert not (settings.jobs_folder / "mine" / "dataset" / "manifest.json").exists()
    queue.retry("mine")
    work()
    assert queue.get("mine").result["count"] == 40
    put("again")  # the same body
    work()
    assert archive(settings, "mine") == archive(settings, "again")


def test_a_locked_data_base_is_waited_for_and_the_job_goes_on(queue, put, settings, at_shard):
    put("mine")
    patient = WorkerSettings()
    waiting = patient.queue()
    waiting.database._busy_seconds = 0.05
    blocker = sqlite3.connect(queue.database._path, isolation_level=None, check_same_thread=False)

    said = []

    def say(line):
        said.append(line)
        if "locked or busy" in line and blocker.in_transaction:
            blocker.execute("ROLLBACK")

    at_shard(lambda: blocker.execute("BEGIN IMMEDIATE"))  # until the worker has noticed
    Worker(waiting, patient, say=say).run(until_idle=True)
    waiting.database.close()
    blocker.close()
    assert sum("locked or busy" in line for line in said) == 1
    assert queue.get("mine").state == "succeeded"


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_worker_takes_its_jobs_from_postgresql(url, settings, store, at_shard):
    shared = settings.model_copy(update={"database": url})
    queue = shared.queue()
    body = GenerateBody(kind="generate", model="toys", count=40, shard_size=10)
    queue.create("mine", "generate", body.model_dump(mode="json"), pinned=body.pin(store, queue))
    at_shard(lambda: os.kill(os.getpid(), signal.SIGTERM))
    Worker(queue, shared).run(until_idle=True)
    assert queue.get("mine").state == "queued"
    Worker(queue, shared).run(until_idle=True)
    assert (queue.get("mine").state, queue.get("mine").result["count"]) == ("succeeded", 40)
    queue.database.close()


def test_a_model_that_is_gone_fails_the_job_with_a_remedy(queue, put, work, tmp_path):
    put("mine")
    work(store=tmp_path / "empty")
    assert queue.get("mine").error["code"] == "not-found"
    assert "There is no model 'toys'" in queue.get("mine").error["detail"]


def test_an_unforeseen_error_fails_the_job_without_its_text(queue, put, work, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(synth.jobs.generate, "make_plan", broken)
    put("mine")
    work()
    error = queue.get("mine").error
    assert error["code"] == "internal-error"
    assert "ZeroDivisionError" in error["detail"]
    assert "secret" not in error["detail"]


def test_a_bad_data_base_is_one_line_on_standard_error(settings, monkeypatch):
    monkeypatch.setenv("SYNTH_DATABASE", "mysql://localhost/jobs")
    done = subprocess.run([sys.executable, "-m", "synth.jobs.worker"], capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: SYNTH_DATABASE must be sqlite:///PATH")


def test_a_supervised_worker_ends_with_its_parent(settings):
    words = [sys.executable, "-m", "synth.jobs.worker", "--supervised"]
    worker = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    worker.stdin.close()
    assert worker.wait(30) == 0
    assert worker.stderr.read() == b""
    worker.stderr.close()
