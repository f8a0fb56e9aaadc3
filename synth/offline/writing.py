"""The loop that every data set is made by: shard by shard, resumable, written while the next one is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from synth.batch import Batch
from synth.data.writers import DatasetManifest, Writer, open_writer
from synth.errors import InterruptedRunError, SynthError, UsageError
from synth.offline.plan import Request, Shard
from synth.text import plural

if TYPE_CHECKING:
    from synth.sampling import Generator

Progress = Callable[[int, int], None]
"""Called with (samples done, samples in all); first with what was there before, then after each shard."""


def check_generator(generator: Generator, plan: Request) -> None:
    """Raise UsageError where the plan was made for another generator."""
    if plan.digest != generator.card.digest:
        raise UsageError(
            f"The plan is for {plan.model} ({plan.digest[:12]}), but the generator is "
            f"{generator.card.reference} ({generator.card.digest[:12]}); make a new plan."
        )


def check_batch(batch: Batch, plan: Request, shard: Shard) -> Batch:
    """``batch``, if it holds the samples of that shard; otherwise SynthError."""
    index = torch.arange(shard.start, shard.start + shard.count, dtype=torch.int64)
    if batch.seed != plan.seed or not torch.equal(batch.index.cpu(), index):
        raise SynthError(
            f"{plan.model} gave other samples than the {shard.count} asked for from index {shard.start} on."
        )
    return batch


def write_dataset(
    plan: Request,
    work: Iterator[Shard],
    make: Callable[[Shard], Batch | Sequence[Batch]],
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> DatasetManifest:
    """Make the data set of ``plan`` in the folder ``out``; it appears there once it is complete.

    Args:
        work: all shards of the plan, in order.
        make: the samples of a shard; called on this thread, one shard after the other.
        out, resume, overwrite: see ``synth.data.writers.open_writer``. Resumed and uninterrupted runs give
            the same files to the last byte; resuming a finished data set changes nothing.
        progress: see ``Progress``.

    Raises:
        InterruptedRunError: stopped by Ctrl-C; the finished shards are kept for ``resume``.
        StorageError: the disk is full or refuses the write; the finished shards are kept.
    """
    writer = open_writer(
        plan.format, out, plan=plan.as_dict(), encoding=plan.encoding, resume=resume, overwrite=overwrite
    )
    try:
        with writer:
            if writer.manifest is None:
                for done in _write_missing(make, work, writer):
                    if progress is not None:
                        progress(done, plan.count)
            elif progress is not None:
                progress(plan.count, plan.count)
            return writer.close()
    except KeyboardInterrupt:
        raise InterruptedRunError(_interrupted(writer, plan, out)) from None


def _write_missing(
    make: Callable[[Shard], Batch | Sequence[Batch]], work: Iterator[Shard], writer: Writer
) -> Iterator[int]:
    """Make the shards that are not there yet; yields the samples done, at the start and after each shard."""
    completed = writer.completed
    done = sum(completed.values())
    yield done
    # One shard is encoded and written while the next one is computed, so that at most two are in memory. The
    # generator stays on this thread, to which it belongs; whatever goes wrong, a begun shard is finished.
    with ThreadPoolExecutor(1) as pool:
        writing: Future[None] | None = None
        before = 0
        for shard in work:
            if shard.number in completed:
                continue
            batch = make(shard)
            if writing is not None:
                writing.result()
                done += before
                yield done
            writing, before = pool.submit(writer.write, batch, shard.number), shard.count
        if writing is not None:
            writing.result()
            yield done + before


def _interrupted(writer: Writer, plan: Request, out: str | Path) -> str:
    if writer.manifest is not None:
        return f"Interrupted, but the data set in {out} is complete."
    done = sum(writer.completed.values())
    if not done:
        return "Interrupted before the first shard was finished; nothing was kept."
    return (
        f"Interrupted: {done:,} of {plural(plan.count, 'image')} are kept in {out}. Run the same command "
        "with --resume to go on."
    )
