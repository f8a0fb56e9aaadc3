"""Translate jobs."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from synth.artifacts import Store
from synth.data import open_source
from synth.data.writers import read_manifest
from synth.errors import LabelError, NotFoundError, UsageError
from synth.jobs.dataset_bodies import GenerateBody, TranslateBody
from synth.jobs.evaluate_body import EvaluateBody
from synth.serving.archive import DatasetArchive
from tests import translators


@pytest.fixture
def images(put, work, home_queue):
    """A data set of 40 images, made by the job ``images``."""
    put("images", format="npz")
    work()
    assert home_queue.get("images").state == "succeeded"


@pytest.fixture
def translate(put):
    def make(id, **body):
        return put(id, kind="translate", **{"model": "toys", "shard_size": 10, "mode": "exact", **body})

    return make


def archive(settings, id):
    made = DatasetArchive(settings.jobs_folder / id / "dataset")
    return made.read(0, made.size)


def test_a_data_set_of_another_job_is_translated_with_progress_and_a_preview(
    images, translate, work, home_queue, settings
):
    job = translate("mine", dataset="images", parameters={"strength": 0.5}, format="npz")
    assert job.pinned["count"] == 40
    work()
    job = home_queue.get("mine")
    assert job.state == "succeeded", job.error
    assert (job.result["count"], job.result["class_counts"]) == (40, [20, 20])
    assert (job.result["source"], job.progress["done"], job.progress["share"]) == ("job images", 40, 1.0)
    assert (settings.jobs_folder / "mine" / "preview.png").read_bytes().startswith(b"\x89PNG")
    manifest = read_manifest(settings.jobs_folder / "mine" / "dataset")
    assert str(settings.jobs_folder) not in manifest.model_dump_json()
    translate("again", dataset="mine", fit="resize")  # what was translated may be translated again
    work()
    assert home_queue.get("again").state == "succeeded", home_queue.get("again").error


def test_a_worker_killed_mid_job_loses_nothing_and_the_result_is_the_same_to_the_last_byte(
    images, translate, work, home_queue, settings
):
    translate("killed", dataset="images")
    script = Path(__file__).with_name("killed.py")
    done = subprocess.run(
        [sys.executable, str(script), "SIGKILL", "3"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    home_queue.lapse("killed")
    work()
    translate("whole", dataset="images")
    work()
    resumed = home_queue.get("killed")
    assert (resumed.state, resumed.attempt, resumed.crashes) == ("succeeded", 2, 1)
    assert archive(settings, "killed") == archive(settings, "whole")


def test_a_cancelled_job_stops_at_its_next_shard_and_goes_on_when_retried(
    images, translate, work, home_queue, monkeypatch
):
    import synth.jobs.translate as runner

    whole, begun = runner.translate_shard, []

    def translate_shard(sampler, source, plan, shard):
        begun.append(shard.number)
        return whole(sampler, source, plan, shard)

    def progress_of(task):
        task.ask("cancel")
        return runner_progress(task)

    runner_progress = runner.progress_of
    with monkeypatch.context() as patched:
        patched.setattr(runner, "translate_shard", translate_shard)
        patched.setattr(runner, "progress_of", progress_of)
        translate("mine", dataset="images")
        work()
    assert home_queue.get("mine").state == "cancelled"
    home_queue.retry("mine")
    work()
    assert home_queue.get("mine").state == "succeeded"


def test_a_built_in_data_set_of_other_classes_fails_the_job_with_what_to_do(translate, work, home_queue):
    assert translate("mine", data="digits:test", fit="resize").pinned["count"] == len(
        open_source("digits:test")
    )
    work()
    error = home_queue.get("mine").error
    assert error["code"] == "invalid-label"
    assert "toys@1 has no class '0'" in error["detail"]
    translate("labelled", data="digits:test", labels="kind0")
    work()
    assert home_queue.get("labelled").result["class_counts"] == [377, 0]


def test_what_cannot_be_is_refused_when_the_job_is_made(images, translate, put):
    put("tars", format="webdataset")
    put("training", kind="train", family="vae", data="digits", name="x")
    for error, says, body in [
        (NotFoundError, "There is no job 'nobody'", {"dataset": "nobody"}),
        (UsageError, "What the job tars makes cannot be read", {"dataset": "tars"}),
        (UsageError, "What the job training makes cannot be read", {"dataset": "training"}),
        (LabelError, "no class 'cat'", {"dataset": "images", "labels": "cat"}),
        (LabelError, "add up to 3, but 40", {"dataset": "images", "labels": {"kind0": 3}}),
        (ValidationError, "no built-in data set", {"data": "/etc"}),
        (ValidationError, "Set either data", {}),
        (ValidationError, "Set either data", {"data": "digits", "dataset": "images"}),
        (ValidationError, "resize", {"dataset": "images", "fit": "crop"}),
    ]:
        with pytest.raises(error, match=says):
            translate("refused", **body)


def test_paths_and_addresses_are_no_data_sets():
    for data in ("../secret", "https://evil.example/x.npz", "digits:/etc/passwd", "file.npz:test"):
        with pytest.raises(ValidationError, match="no built-in data set"):
            TranslateBody.model_validate({"kind": "translate", "model": "toys", "data": data})


def test_jobs_that_need_images_from_nothing_refuse_a_model_that_only_translates(home_queue, tmp_path):
    with translators.known():
        store = Store(tmp_path / "store")
        translators.publish(store)
        for body in (
            GenerateBody(kind="generate", model="tint", count=2),
            EvaluateBody(kind="evaluate", model="tint", real="digits"),
        ):
            with pytest.raises(UsageError, match="Use synth translate tint@1"):
                body.pin(store, home_queue)
        translate = TranslateBody(kind="translate", model="tint", data="digits")
        assert translate.pin(store, home_queue)["model"] == "tint@1"
