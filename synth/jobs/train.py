"""The runner of train jobs. Imported by workers alone."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth.artifacts import Store
from synth.artifacts.files import replace_file, storage_errors
from synth.errors import ResumeError
from synth.families import get_family
from synth.jobs.inputs import input_of, target_of
from synth.jobs.task import Task
from synth.jobs.train_body import TrainBody
from synth.training import Recipe, fit
from synth.training.recipe import make_recipe
from synth.training.runs import all_runs


def run(task: Task) -> dict[str, Any]:
    """Train and publish, going on from the last saved state if there is one."""
    body, settings = TrainBody.model_validate(task.job.body), task.settings
    recipe = make_recipe(get_family(body.family).load("recipe"), body.recipe)
    artifact = fit(
        body.family,
        input_of(task, body),
        recipe,
        name=body.name,
        target=target_of(task, body),
        store=Store(settings.store),
        runs=task.folder.runs,
        resume=_begun(task, body.name),
        device=settings.device,
        reporter=_Reporter(task, body.name, recipe),
    )
    _show(task, artifact.path / "preview.png")
    training = artifact.manifest.training
    return {
        "model": artifact.manifest.reference,
        "digest": artifact.manifest.digest,
        "images": training.images,
        "images_seen": training.images_seen,
        "seconds": training.seconds,
        "metrics": {name: metric.value for name, metric in artifact.manifest.metrics.items()},
    }


def _begun(task: Task, name: str) -> bool:
    """Whether there is a run to go on with; one that was killed before its first record is none."""
    runs = all_runs(name, task.folder.runs)
    try:
        return bool(runs and runs[-1].record())
    except ResumeError:
        return False


class _Reporter:
    """Tells the task of the training, and the training of a wish to stop."""

    def __init__(self, task: Task, name: str, recipe: Recipe) -> None:
        self._task, self._name = task, name
        self._total = recipe.images_seen
        self._told = False
        self._shown = ""

    def note(self, text: str) -> None:
        """Of no interest to clients."""

    def progress(self, share: float, images_seen: int, seconds: float, figures: Mapping[str, float]) -> None:
        self._task.advance(images_seen, self._total, share, figures)
        self._look_for_preview()
        if self._task.asked is not None and not self._told and share < 1.0:
            self._told = True
            # To this thread, in which the training listens for it: it saves its state and ends.
            signal.raise_signal(signal.SIGTERM)

    def _look_for_preview(self) -> None:
        previews = all_runs(self._name, self._task.folder.runs)[-1].path / "previews"
        newest = max(previews.glob("*.png"), default=None)
        if newest is not None and newest.name != self._shown:
            self._shown = newest.name
            _show(self._task, newest)


def _show(task: Task, picture: Path) -> None:
    with storage_errors("write the preview", task.folder.path):
        replace_file(task.folder.preview, picture.read_bytes())
