"""The images that a job works on: built in, or made by another job. Imported by workers alone."""

from __future__ import annotations

from pathlib import Path

from synth.data.writers import read_manifest
from synth.errors import NotFoundError
from synth.jobs.bodies import SourceBody
from synth.jobs.folder import JobFolder
from synth.jobs.task import Task
from synth.jobs.train_body import TrainBody


def input_of(task: Task, body: SourceBody) -> str | Path:
    """What ``synth.data.open_source`` takes; NotFoundError where the other job has not made its data set."""
    if body.dataset is None:
        assert body.data is not None
        return body.data
    return made_by(task, body.dataset)


def target_of(task: Task, body: TrainBody) -> str | Path | None:
    """The same for the target of a training, None where it has none."""
    return body.target if body.target_dataset is None else made_by(task, body.target_dataset)


def made_by(task: Task, id: str) -> Path:
    """The folder of the data set that another job has made; NotFoundError where it has not."""
    folder = JobFolder.of(task.settings.jobs_folder, id).dataset
    try:
        read_manifest(folder)
    except NotFoundError:
        raise NotFoundError(
            f"The job {id} has not made its data set. Wait until it has succeeded, and try again."
        ) from None
    return folder
