"""The runner of generate jobs, and what it shares with that of translate jobs. Imported by workers alone."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Sequence
from typing import Any

from synth.artifacts import Store
from synth.artifacts.files import replace_file, storage_errors
from synth.batch import Batch
from synth.data.grid import grid
from synth.data.writers import DatasetManifest
from synth.errors import ArtifactError
from synth.jobs.dataset_bodies import GenerateBody
from synth.jobs.task import Task
from synth.offline import Shard, generate_dataset, make_plan, run_shard, shards
from synth.sampling import Sampler

_PREVIEW_COLUMNS = 8
_PREVIEW_IMAGES = 40


def run(task: Task) -> dict[str, Any]:
    """Make the data set in the job's folder, going on from its last shard if there is one."""
    body = GenerateBody.model_validate(task.job.body)
    sampler = open_sampler(task)
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
    preview(task, next(shards(plan)), lambda shard: run_shard(sampler, plan, shard))
    manifest = generate_dataset(sampler, plan, task.folder.dataset, resume=True, progress=progress_of(task))
    return result(task, manifest)


def open_sampler(task: Task) -> Sampler:
    """The model that was settled when the job was made; ArtifactError where it is another by now."""
    settings = task.settings
    reference, digest = task.job.pinned["model"], task.job.pinned["digest"]
    artifact = Store(settings.store).find(reference)
    if artifact.manifest.digest != digest:
        raise ArtifactError(
            f"{reference} is not the model that it was when the job was made; make a new job."
        )
    task.check()
    return Sampler(artifact, device=settings.device, precision=settings.precision)


def progress_of(task: Task) -> Callable[[int, int], None]:
    """Tells the task of each shard, and stops where it was asked to."""

    def progress(done: int, total: int) -> None:
        task.advance(done, total, done / total)
        if done < total:
            task.check()

    return progress


def result(task: Task, manifest: DatasetManifest) -> dict[str, Any]:
    """What the job has made, as it is told to clients."""
    return {
        "dataset": task.job.id,
        "model": task.job.pinned["model"],
        "digest": task.job.pinned["digest"],
        "count": manifest.count,
        "format": manifest.format,
        "classes": manifest.classes,
        "class_counts": manifest.class_counts,
        "files": len(manifest.files),
        "bytes": sum(file.bytes for file in manifest.files),
    }


def preview(task: Task, first: Shard, make: Callable[[Shard], Batch | Sequence[Batch]]) -> None:
    """The first images once more, in one picture: a few samples cost less than to hand them through.

    Of images that differ in size, those of the first one's size.
    """
    if task.folder.preview.exists():
        return
    count = min(first.count, _PREVIEW_IMAGES)
    labels = first.labels if isinstance(first.labels, str) else first.labels[:count]
    made = make(dataclasses.replace(first, count=count, labels=labels))
    batch = made if isinstance(made, Batch) else made[0]
    picture = io.BytesIO()
    grid(batch.images.cpu(), min(len(batch), _PREVIEW_COLUMNS)).save(picture, format="PNG")
    with storage_errors("write the preview", task.folder.path):
        replace_file(task.folder.preview, picture.getvalue())
