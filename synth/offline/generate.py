"""Generate a data set on one machine, shard by shard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synth.batch import Batch
from synth.data.writers import DatasetManifest
from synth.offline.plan import Plan, Shard, shards
from synth.offline.writing import Progress, check_batch, check_generator, write_dataset

if TYPE_CHECKING:
    from synth.sampling import Generator


def generate_dataset(
    generator: Generator,
    plan: Plan,
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> DatasetManifest:
    """Make the data set of ``plan`` in the folder ``out``; it appears there once it is complete.

    Args:
        generator: the one that the plan was made for.
        plan: see ``make_plan``.
        out, resume, overwrite, progress: see ``synth.offline.writing.write_dataset``.

    Raises:
        LabelError: the labels do not fit the generator's classes or the count.
        UsageError: the plan is for another generator; and what ``open_writer`` raises.
        InterruptedRunError, StorageError: see ``write_dataset``.
    """
    check_generator(generator, plan)
    return write_dataset(
        plan,
        shards(plan),
        lambda shard: run_shard(generator, plan, shard),
        out,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )


def run_shard(generator: Generator, plan: Plan, shard: Shard) -> Batch:
    """The samples of one shard: a pure function of (plan, shard number).

    Raises:
        SynthError: the generator gave other samples than those asked for.
    """
    batch = generator.generate(
        shard.count, labels=shard.labels, seed=plan.seed, start=shard.start, mode=plan.mode, **plan.parameters
    )
    return check_batch(batch, plan, shard)
