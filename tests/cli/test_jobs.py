"""synth jobs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from synth.jobs.kinds import KINDS
from synth.jobs.settings import JobSettings


@pytest.fixture
def queue(synth_home):
    """With a job that was done, one that runs and one that waits."""
    queue = JobSettings().queue()
    queue.create(
        "done", "generate", {"kind": "generate", "model": "cats", "count": 3}, pinned={"model": "cats@2"}
    )
    progress = {
        "done": 2,
        "total": 4,
        "share": 0.5,
        "images_per_second": 8.0,
        "eta_seconds": 9.0,
        "figures": {},
    }
    queue.succeed(queue.claim("w", KINDS), {"dataset": "done"}, {**progress, "done": 4, "share": 1.0})
    queue.create("running", "train", {"kind": "train"})
    queue.heartbeat(queue.claim("w", KINDS), progress)
    queue.create("waiting", "generate", {"kind": "generate", "model": "cats", "count": 3})
    yield queue
    queue.database.close()


def test_jobs_are_listed_the_newest_first(run, queue):
    listed = run("jobs", "list")
    rows = [line.split()[:4] for line in listed.out.splitlines()]
    assert [row[:3] for row in rows] == [
        ["ID", "KIND", "STATE"],
        ["waiting", "generate", "queued"],
        ["running", "train", "running"],
        ["done", "generate", "succeeded"],
    ]
    assert (rows[2][3], rows[3][3]) == ("50%", "100%")
    jobs = json.loads(run("jobs", "list", "--json", "--state", "queued", "--kind", "generate").out)
    assert [job["id"] for job in jobs] == ["waiting"]
    assert len(json.loads(run("jobs", "list", "--limit", "2", "--json").out)) == 2


def test_a_job_is_shown_with_what_was_asked_for_and_what_came_of_it(run, queue):
    shown = run("jobs", "show", "done").out
    assert "request model   cats" in shown
    assert "result dataset  done" in shown
    assert "100%  4 of 4 images  8/s" in shown
    job = json.loads(run("jobs", "show", "done", "--json").out)
    assert (job["state"], job["request"]["count"], job["pinned"]) == ("succeeded", 3, {"model": "cats@2"})


def test_jobs_are_cancelled_and_tried_again(run, queue):
    assert run("jobs", "cancel", "waiting").err == "waiting is cancelled.\n"
    assert run("jobs", "cancel", "running").err == "running is cancelling.\n"
    assert "cancelling" in run("jobs", "list").out
    assert run("jobs", "retry", "waiting").err == "waiting is queued.\n"
    refused = run("jobs", "retry", "done")
    assert (refused.code, "is succeeded" in refused.err) == (2, True)


def test_a_job_is_watched_until_it_has_ended(run, queue, monkeypatch):
    watched = run("jobs", "watch", "done")
    assert json.loads(watched.out) == {"dataset": "done"}
    said = [line.split()[2] for line in watched.err.splitlines()]
    assert said == ["queued", "running", "100%", "succeeded"]
    monkeypatch.setattr("synth.cli.jobs.time.sleep", lambda seconds: queue.cancel("waiting"))
    cancelled = run("jobs", "watch", "waiting")
    assert cancelled.code == 1
    assert cancelled.err.endswith("error: The job waiting was cancelled.\n")


def test_the_reason_of_a_failed_job_is_told(run, queue):
    queue.fail(queue.claim("w", KINDS), {"code": "x", "title": "x", "detail": "The disk is full."})
    watched = run("jobs", "watch", "waiting")
    assert (watched.code, watched.err.splitlines()[-1]) == (1, "error: The disk is full.")
    assert "The disk is full." in run("jobs", "show", "waiting").out


def test_unknown_jobs_states_and_kinds_are_usage_errors(run, synth_home):
    for words, says in [
        (["show", "nobody"], "There is no job 'nobody'"),
        (["cancel", "nobody"], "There is no job 'nobody'"),
        (["list", "--state", "runing"], "did you mean 'running'"),
        (["list", "--kind", "bake"], "There is no kind of job 'bake'"),
    ]:
        outcome = run("jobs", *words)
        assert (outcome.code, says in outcome.err) == (2, True)
    assert "There are no such jobs" in run("jobs", "list").err


def test_a_worker_without_work_ends_when_it_is_told_to(run, synth_home):
    outcome = run("jobs", "work", "--until-idle")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_a_bad_setting_is_named(run, monkeypatch):
    monkeypatch.setenv("SYNTH_LEASE_SECONDS", "soon")
    assert "SYNTH_LEASE_SECONDS is 'soon'" in run("jobs", "list").err


def test_looking_at_jobs_does_not_load_torch(queue):
    code = (
        "import sys; from synth.cli import main\n"
        "for words in (['list'], ['show', 'done'], ['watch', 'done'], ['cancel', 'waiting']):\n"
        "    assert main(['jobs', *words]) == 0\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False", done.stderr
