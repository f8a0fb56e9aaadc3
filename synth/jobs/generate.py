"""The runner of generate jobs. Imported by workers alone."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

from synth.artifacts import Store
from synth.artifacts.files import replace_file, storage_errors
from synth.data.grid import grid
from synth.errors import ArtifactError
from synth.jobs.bodies import GenerateBody
from synth.jobs.task import Task
from synth.offline import Plan, generate_dataset, make_plan, run_shard, shards
from synth.sampling import Sampler

_PREVIEW_COLUMNS = 8
_PREVIEW_IMAGES = 40


def run(task: Task) -> dict[str, Any]:
    """Make the data set in the job's folder, going on from its last shard if there is one."""
    body, settings = GenerateBody.model_validate(task.job.body), task.settings
    reference, digest = task.job.pinned["model"], task.job.pinned["digest"]
    artifact = Store(settings.store).find(reference)
    if artifact.manifest.digest != digest:
        raise ArtifactError(
            f"{reference} is not the model that it was when the job was made; make a new job."
        )
    task.check()
    sampler = Sampler(artifact, device=settings.device, precision=settings.precision)
    plan = make_plan(
        sampler.card,
        body.count,
        labels=body.labels_for(sampler.card.classes),
        seed=body.seed,
        start=body.start,
        mode=body.mode,
        parameters=body.parameters,
        format=body.format,
        shard_size=body.shard_size,
        encoding=body.encoding,
    )
    task.check()
    _preview(task, sampler, plan)

    def progress(done: int, total: int) -> None:
        task.advance(done, total, done / total)
        if done < total:
            task.check()

    manifest = generate_dataset(sampler, plan, task.folder.dataset, resume=True, progress=progress)
    return {
        "dataset": task.job.id,
        "model": reference,
        "digest": digest,
        "count": manifest.count,
        "format": manifest.format,
        "classes": manifest.classes,
        "class_counts": manifest.class_counts,
        "files": len(manifest.files),
        "bytes": sum(file.bytes for file in manifest.files),
    }


def _preview(task: Task, sampler: Sampler, plan: Plan) -> None:
    """The first images once more, in one picture: a few samples cost less than to hand them through."""
    if task.folder.preview.exists():
        return
    shard = next(shards(plan))
    count = min(shard.count, _PREVIEW_IMAGES)
    labels = shard.labels if isinstance(shard.labels, str) else shard.labels[:count]
    batch = run_shard(sampler, plan, dataclasses.replace(shard, count=count, labels=labels))
    picture = io.BytesIO()
    grid(batch.images.cpu(), min(count, _PREVIEW_COLUMNS)).save(picture, format="PNG")
    with storage_errors("write the preview", task.folder.path):
        replace_file(task.folder.preview, picture.getvalue())
