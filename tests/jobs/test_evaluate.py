"""Evaluate jobs."""

from __future__ import annotations

import json

import pytest

from synth.artifacts import Draft, ImageInfo
from synth.evaluation.extractors import open_extractor
from synth.families import get_family
from synth.jobs.evaluate import _Phase
from synth.jobs.evaluate_body import EvaluateBody
from synth.models.program import ImageShape


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr("synth.evaluation.report.compute.budget", lambda shape: 768)
    monkeypatch.setattr(
        "synth.jobs.evaluate.choose_extractor",
        lambda *args, **options: open_extractor("random", device="cpu"),
    )


@pytest.fixture
def measure(home_queue, store):
    def measure(id, **body):
        defaults = {"kind": "evaluate", "real": "digits", "holdout": "digits:test", "quick": True, "seeds": 1}
        parsed = EvaluateBody.model_validate({**defaults, **body})
        return home_queue.create(
            id, parsed.kind, parsed.model_dump(mode="json"), pinned=parsed.pin(store, home_queue)
        )

    return measure


def test_a_report_stops_at_its_next_step_when_it_is_cancelled(measure, work, home_queue, monkeypatch):
    whole = _Phase.__call__

    def stopping(self, share, what):
        self._task.ask("cancel")
        whole(self, share, what)

    monkeypatch.setattr(_Phase, "__call__", stopping)
    measure("stopped", model="toys", count=60)
    work()
    assert home_queue.get("stopped").state == "cancelled"


def test_classes_that_do_not_fit_fail_the_job_with_what_is_wrong(measure, work, home_queue):
    measure("mine", model="toys", count=60)
    work()
    assert "real ones lack" in home_queue.get("mine").error["detail"]


def test_the_report_is_left_in_the_jobs_folder(measure, work, home_queue, settings, store):
    config = {"widths": [8, 8], "blocks": 1, "latent": 4, "components": 2}
    network = get_family("vae").load("network")(config, ImageShape(1, 8, 8), 10)
    draft = Draft(
        family="vae", network=config, image=ImageInfo(channels=1, height=8, width=8),
        classes=[str(number) for number in range(10)], weights=network.state_dict(), parameters=1, recipe={},
        source="nothing", images=1, images_seen=0, seconds=0.0, ids=["00" * 32], class_counts=[1] * 10,
        pixel_mean=[0.5], pixel_std=[0.2],
    )  # fmt: skip
    store.publish(draft, "figures")
    measure("mine", model="figures", count=80)
    work()
    job = home_queue.get("mine")
    assert job.state == "succeeded", job.error
    assert job.progress["share"] == 1.0
    assert job.result["figures"]["valid_share"] == 1.0
    folder = settings.jobs_folder / "mine" / "report"
    assert json.loads((folder / "report.json").read_text())["facts"]["model"] == "figures@1"
    assert (folder / "report.html").exists()
