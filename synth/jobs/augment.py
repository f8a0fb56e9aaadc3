"""The runner of augment jobs. Imported by workers alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from synth.artifacts import Store
from synth.augment import Pipeline, read_specification
from synth.data import open_source
from synth.errors import ArtifactError
from synth.jobs.augment_body import AugmentBody
from synth.jobs.generate import preview, progress_of, result
from synth.jobs.inputs import input_of
from synth.jobs.task import Task
from synth.offline import augment_dataset, make_augmentation_plan, shards
from synth.offline.augment import augment_shard


def run(task: Task) -> dict[str, Any]:
    """Make the data set in the job's folder, going on from its last shard if there is one."""
    body = AugmentBody.model_validate(task.job.body)
    specification = read_specification(task.job.pinned["pipeline"], store=Store(task.settings.store))
    if specification.digest != task.job.pinned["digest"]:
        raise ArtifactError(
            "The pipeline is not what it was when the job was made, for this worker is of another version of "
            "synth: make a new job."
        )
    source = open_source(input_of(task, body))
    plan = make_augmentation_plan(
        Pipeline(specification, body.seed),
        source,
        copies=body.copies,
        format=body.format,
        shard_size=body.shard_size,
        encoding=body.encoding,
    )
    # By its id: where the server keeps it is nobody's business.
    plan = replace(plan, source=body.data or f"job {body.dataset}")
    task.check()
    preview(task, next(shards(plan)), lambda shard: augment_shard(source, plan, shard))
    manifest = augment_dataset(source, plan, task.folder.dataset, resume=True, progress=progress_of(task))
    return {**result(task, manifest), "source": plan.source, "copies": plan.copies}
