"""The runner of translate jobs. Imported by workers alone."""

from __future__ import annotations

from typing import Any

from synth.data import open_source
from synth.jobs.dataset_bodies import TranslateBody
from synth.jobs.generate import open_sampler, preview, progress_of, result
from synth.jobs.inputs import input_of
from synth.jobs.task import Task
from synth.offline import make_translation_plan, shards, translate_dataset, translate_shard


def run(task: Task) -> dict[str, Any]:
    """Make the data set in the job's folder, going on from its last shard if there is one."""
    body = TranslateBody.model_validate(task.job.body)
    source = open_source(input_of(task, body))
    sampler = open_sampler(task)
    plan = make_translation_plan(
        sampler.card,
        source,
        labels=body.labels,
        fit=body.fit,
        any_size=sampler.any_size,
        allow_label_drift=body.allow_label_drift,
        # By its id: where the server keeps it is nobody's business.
        name=body.data or f"job {body.dataset}",
        seed=body.seed,
        start=body.start,
        mode=body.mode,
        parameters=body.parameters,
        format=body.format,
        shard_size=body.shard_size,
        encoding=body.encoding,
    )
    task.check()
    preview(task, next(shards(plan)), lambda shard: translate_shard(sampler, source, plan, shard))
    manifest = translate_dataset(
        sampler, source, plan, task.folder.dataset, resume=True, progress=progress_of(task)
    )
    return {**result(task, manifest), "source": plan.source, "source_digest": plan.source_digest}
