"""Train jobs."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from pydantic import ValidationError

import synth.training.loop
import synth.training.observer
from synth.artifacts import Store
from synth.jobs.train import _Reporter
from synth.jobs.train_body import TrainBody


@pytest.fixture
def train(tiny, put):
    """Make a job that trains for six steps."""

    def make(id, **body):
        settings = {"batch_size": 16, "precision": "32", **tiny.SETTINGS["vae"]}
        body = {"data": "digits", "name": "figures", "images_seen": 96, "settings": settings, **body}
        return put(id, kind="train", family="vae", **body)

    return make


@pytest.fixture
def act(monkeypatch):
    """Calls something once, after a number of training images."""

    def install(at, function):
        monkeypatch.setattr(synth.training.loop, "_SECONDS_BETWEEN_REPORTS", 0.0)
        monkeypatch.setattr(synth.training.observer, "_SHARES", (0.3,))
        whole, left = _Reporter.progress, [function]

        def progress(self, share, images_seen, seconds, figures):
            if images_seen == at and left:
                left.pop()(self._task)
            whole(self, share, images_seen, seconds, figures)

        monkeypatch.setattr(_Reporter, "progress", progress)

    return install


def test_a_training_that_was_stopped_goes_on_to_the_same_model(
    train, work, act, home_queue, settings, tmp_path
):
    models = Store(tmp_path / "models")
    act(48, lambda task: os.kill(os.getpid(), signal.SIGTERM))
    train("stopped")
    assert work(store=models.root)[-1] == "Job stopped is given back; it will go on from here."
    assert (home_queue.get("stopped").state, models.list()) == ("queued", [])
    preview = settings.jobs_folder / "stopped" / "preview.png"
    early = preview.read_bytes()
    assert early.startswith(b"\x89PNG")
    train("whole", name="whole")
    work(store=models.root)
    stopped, whole = home_queue.get("stopped"), home_queue.get("whole")
    assert (stopped.state, whole.state) == ("succeeded", "succeeded"), (stopped.error, whole.error)
    assert (stopped.attempt, stopped.result["model"], stopped.result["images_seen"]) == (2, "figures@1", 96)
    assert stopped.result["digest"] == whole.result["digest"]
    assert stopped.progress["share"] == 1.0
    assert stopped.progress["figures"].keys() >= {"loss"}
    assert preview.read_bytes() == (models.open("figures@1").path / "preview.png").read_bytes() != early
    weights = [models.find(job.result["model"]).weights() for job in (stopped, whole)]
    assert all(torch.equal(weight, weights[1][name]) for name, weight in weights[0].items())


def test_a_cancelled_training_stops_and_publishes_nothing(train, work, act, home_queue, tmp_path):
    act(48, lambda task: task.ask("cancel"))
    train("mine")
    assert "Job mine was cancelled." in work(store=tmp_path / "models")
    assert home_queue.get("mine").state == "cancelled"
    assert Store(tmp_path / "models").list() == []


def test_a_model_is_trained_on_the_images_of_another_job(train, put, work, home_queue, settings):
    put("images", format="npz")
    train("on-them", data=None, dataset="images", name="second-hand")
    work()
    job = home_queue.get("on-them")
    assert job.state == "succeeded", job.error
    assert job.result["model"] == "second-hand@1"


def test_images_that_are_not_made_yet_fail_the_job(train, put, work, home_queue, settings):
    put("images", format="npz")
    home_queue.cancel("images")
    train("too-soon", data=None, dataset="images")
    work()
    assert "has not made its data set" in home_queue.get("too-soon").error["detail"]


def test_a_recipe_that_cannot_be_fails_the_job_with_what_is_wrong(train, work, home_queue):
    train("mine", settings={"batch_sise": 3})
    work()
    error = home_queue.get("mine").error
    assert error["code"] == "invalid-configuration"
    assert "no setting 'batch_sise' (did you mean 'batch_size'?)" in error["detail"]


def test_a_translator_is_trained_on_two_sources(tiny, put, work, tmp_path):
    models = Store(tmp_path / "models")
    settings = {"batch_size": 8, "precision": "32", **tiny.SETTINGS["cut"]}
    body = {"family": "cut", "data": "digits", "target": "digits:test", "images_seen": 16}
    put("pair", kind="train", name="pair", settings=settings, **body)
    work(store=models.root)
    training = models.open("pair").manifest.training
    assert (training.source, training.target.source) == ("digits", "digits:test")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"family": "cut"}, r"cut learns the way from one domain to another. Say with a target"),
        ({"family": "vae", "target": "digits:test"}, r"vae learns from its data"),
        ({"family": "cut", "target": "/etc"}, r"no built-in data set of that name"),
        (
            {"family": "cut", "target": "digits:test", "target_dataset": "a"},
            r"either target or target_dataset",
        ),
    ],
)
def test_a_target_that_is_missing_or_too_many_is_refused_when_the_job_is_asked_for(body, message):
    with pytest.raises(ValidationError, match=message):
        TrainBody.model_validate({"kind": "train", "name": "pair", "data": "digits", **body})
