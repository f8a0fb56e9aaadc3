"""Augment jobs."""

from __future__ import annotations

import pytest

from synth.augment import Pipeline, read_specification
from synth.data import open_source
from synth.data.writers import read_manifest
from synth.errors import ConfigError, NotFoundError
from synth.integrations.torch import as_torch
from synth.jobs.augment_body import AugmentBody

PIPELINE = {"sample": ["horizontal_flip", {"operation": "rotate", "probability": 0.5}]}


@pytest.fixture
def images(put, work, home_queue):
    """A data set of 40 images, made by the job ``images``."""
    put("images", format="npz")
    work()
    assert home_queue.get("images").state == "succeeded"


@pytest.fixture
def augment(put):
    def make(id, **body):
        return put(id, kind="augment", **{"pipeline": PIPELINE, "shard_size": 30, "seed": 5, **body})

    return make


def test_what_another_job_has_made_is_augmented_as_in_training(images, augment, work, home_queue, settings):
    job = augment("mine", dataset="images", copies=2, format="npz")
    digest = read_specification(PIPELINE).digest
    assert (job.pinned["count"], job.pinned["digest"]) == (80, digest)
    work()
    job = home_queue.get("mine")
    assert job.state == "succeeded", job.error
    assert (job.result["count"], job.result["class_counts"], job.progress["done"]) == (80, [40, 40], 80)
    assert (job.result["source"], job.result["model"]) == ("job images", f"pipeline:{digest[:12]}")
    folder = settings.jobs_folder / "mine" / "dataset"
    assert str(settings.jobs_folder) not in read_manifest(folder).model_dump_json()
    assert (settings.jobs_folder / "mine" / "preview.png").read_bytes().startswith(b"\x89PNG")
    originals = open_source(settings.jobs_folder / "images" / "dataset")
    dataset, made = as_torch(originals, Pipeline.read(PIPELINE, seed=5)), open_source(folder)
    for epoch in range(2):
        dataset.set_epoch(epoch)
        for place in (0, 17, 39):
            image, label = dataset[place]
            sample = made[40 * epoch + place]
            assert (sample.image.transpose(2, 0, 1) == image.numpy()).all()
            assert sample.label == label
    augment("again", dataset="mine", pipeline="sample: [grey]")  # what was augmented may be augmented again
    work()
    assert home_queue.get("again").state == "succeeded", home_queue.get("again").error


def test_a_cancelled_job_goes_on_when_retried(images, augment, work, home_queue, settings, monkeypatch):
    import synth.jobs.augment as runner

    whole = runner.progress_of

    def stopping(task):
        task.ask("cancel")
        return whole(task)

    with monkeypatch.context() as patched:
        patched.setattr(runner, "progress_of", stopping)
        augment("mine", dataset="images", copies=2)
        work()
    assert home_queue.get("mine").state == "cancelled"
    home_queue.retry("mine")
    work()
    assert home_queue.get("mine").state == "succeeded"


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ({"data": "digits", "pipeline": "sample: [blurr]"}, ConfigError, "did you mean 'blur'"),
        ({"data": "digits", "pipeline": "/etc/passwd"}, ConfigError, "A pipeline is a mapping"),
        ({"data": "digits", "pipeline": "sample: [&a {operation: blur}, *a]"}, ConfigError, "aliases"),
        ({"data": "digits", "format": "npz", "image_format": "jpeg"}, Exception, "npz"),
        ({"dataset": "nothing"}, NotFoundError, "There is no job 'nothing'"),
    ],
)
def test_what_cannot_be_is_refused_when_the_job_is_made(augment, body, error, says):
    with pytest.raises(error, match=says):
        augment("mine", **body)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"pipeline": "x" * 70_000}, "65,536 characters"),
        ({"copies": 0}, "greater than or equal to 1"),
        ({"data": "photos"}, "no built-in data set"),
        ({"data": None}, "Set either data"),
        ({"cpoies": 2}, "did you mean 'copies'"),
    ],
)
def test_a_wrong_field_is_named(body, says):
    with pytest.raises(ValueError, match=says):
        AugmentBody.model_validate({"kind": "augment", "data": "digits", "pipeline": "basic", **body})
