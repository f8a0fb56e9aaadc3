"""WebDataset tar shards, laid out as ``synth.data.layout.write_tar`` says."""

from __future__ import annotations

from collections.abc import Sequence

from synth.batch import Batch
from synth.data.encode import Encoding
from synth.data.layout import write_tar
from synth.data.writers.files import describe
from synth.data.writers.manifest import DatasetFile
from synth.data.writers.staging import Header, ShardRecord, Staging


def write_shard(
    staging: Staging, number: int, batches: Sequence[Batch], encoding: Encoding
) -> tuple[list[DatasetFile], list[DatasetFile]]:
    """``NUMBER.tar``."""
    name = f"{number:06d}.tar"
    with open(staging.data / name, "wb") as file:
        write_tar(file, batches, encoding)
    return [describe(staging.data, name)], []


def finish(staging: Staging, header: Header, shards: Sequence[ShardRecord]) -> list[DatasetFile]:
    """Nothing: the shards are the data set."""
    return []
