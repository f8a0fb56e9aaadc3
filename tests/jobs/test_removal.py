"""Removing jobs that have ended: what they made goes, and nothing else."""

from __future__ import annotations

import pytest

from synth.artifacts import Store
from synth.cli import main
from synth.jobs.folder import JobBusyError, JobFolder
from synth.jobs.kinds import KINDS
from synth.jobs.queue import JobActiveError
from synth.jobs.removal import remove_job, remove_old_jobs
from synth.jobs.settings import WorkerSettings


@pytest.fixture
def ended(home_queue, settings):
    """Makes a job that has ended, with a file in its folder; no worker is needed for that."""

    def make(id):
        home_queue.create(id, "generate", {"kind": "generate"})
        home_queue.succeed(home_queue.claim("w", KINDS), {"dataset": id}, None)
        folder = settings.jobs_folder / id / "dataset"
        folder.mkdir(parents=True)
        (folder / "image.png").write_bytes(b"x")
        return settings.jobs_folder / id

    return make


def test_a_job_goes_with_what_it_made_and_nothing_else_does(home_queue, settings, ended, tmp_path):
    mine, other = ended("mine"), ended("other")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    (mine / "link").symlink_to(tmp_path / "precious")
    assert remove_job(home_queue, settings, "mine")
    assert sorted(path.name for path in settings.jobs_folder.iterdir()) == ["other"]
    assert (other / "dataset" / "image.png").exists()
    assert (tmp_path / "precious" / "file").read_text() == "mine"
    assert [job.id for job in home_queue.list()] == ["other"]
    assert not remove_job(home_queue, settings, "mine")
    assert home_queue.create("mine", "train", {"kind": "train"})[1]  # the id is free again


def test_a_job_that_waits_or_runs_is_not_removed(home_queue, settings):
    home_queue.create("mine", "generate", {"kind": "generate"})
    with pytest.raises(JobActiveError, match=r"is queued\. Cancel it"):
        remove_job(home_queue, settings, "mine")
    job = home_queue.claim("w", KINDS)
    with pytest.raises(JobActiveError, match="is running"):
        remove_job(home_queue, settings, "mine")
    home_queue.heartbeat(job, None)  # it is this worker's as before


def test_a_folder_that_a_lost_worker_still_holds_stays(home_queue, settings, ended):
    folder = ended("mine")
    with JobFolder(folder).held(), pytest.raises(JobBusyError):
        remove_job(home_queue, settings, "mine")
    assert home_queue.get("mine").state == "succeeded"
    assert remove_job(home_queue, settings, "mine")


def test_what_a_killed_removal_left_is_deleted_by_the_next_one(home_queue, settings, ended):
    JobFolder(ended("mine")).discard()  # and here the process was killed
    assert [path.name[:13] for path in settings.jobs_folder.iterdir()] == [".removed-mine"]
    assert remove_job(home_queue, settings, "mine")
    assert list(settings.jobs_folder.iterdir()) == []


def test_a_model_outlives_the_job_that_trained_it(home_queue, settings, ended, store):
    ended("mine")
    before = [entry.reference for entry in Store(settings.store).list()]
    remove_job(home_queue, settings, "mine")
    assert [entry.reference for entry in Store(settings.store).list()] == before
    assert "toys@1" in before


def test_old_jobs_are_removed_only_where_it_is_said_how_old(queue, tmp_path, clock):
    """On both data bases, by their clock."""
    settings = WorkerSettings(jobs_folder=tmp_path / "jobs")
    for id in ("old", "new", "open"):
        queue.create(id, "generate", {"kind": "generate"})
    queue.cancel("old")
    clock.now += 2 * 86_400
    queue.cancel("new")
    assert remove_old_jobs(queue, settings) == []
    keep = settings.model_copy(update={"jobs_keep_days": 1.5})
    assert remove_old_jobs(queue, keep) == ["old"]
    clock.now += 10 * 86_400
    assert remove_old_jobs(queue, keep) == ["new"]
    assert [job.id for job in queue.list()] == ["open"]


def test_a_worker_removes_what_is_too_old(home_queue, settings, ended, work):
    folder = ended("mine")
    assert work() == []
    assert work(jobs_keep_days=0.0) == ["Job mine is too old to be kept, and was removed with what it made."]
    assert not folder.exists()


def test_the_command_removes_jobs_by_id_or_by_age(ended, home_queue, capsys):
    for id in ("a", "b", "c"):
        ended(id)
    assert main(["jobs", "remove", "a", "nobody"]) == 0
    assert capsys.readouterr().err == "There is no job 'nobody'.\na is removed.\n"
    assert main(["jobs", "remove", "--older-than-days", "1"]) == 0
    assert main(["jobs", "remove", "--older-than-days", "0"]) == 0
    assert capsys.readouterr().err == "b is removed.\nc is removed.\n"
    home_queue.create("d", "train", {"kind": "train"})
    for words, says in [
        ([], "Name jobs"),
        (["d", "--older-than-days", "1"], "Name jobs"),
        (["d"], "is queued"),
        (["../x"], "cannot be called"),
    ]:
        assert main(["jobs", "remove", *words]) == 2
        assert says in capsys.readouterr().err
