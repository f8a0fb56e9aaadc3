"""The table of output formats: the one place where a new one is added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from synth.batch import Batch
from synth.data.writers import imagefolder, npz, webdataset
from synth.data.writers.manifest import DatasetFile
from synth.data.writers.staging import Header, ShardRecord, Staging
from synth.errors import ConfigError
from synth.text import closest


class WriteShard(Protocol):
    """Write one shard under ``staging.data`` (final files) and ``staging.parts`` (pieces); return both.

    A function of the batch alone: equal batches give equal bytes, whatever was there before.
    """

    def __call__(
        self, staging: Staging, number: int, batch: Batch
    ) -> tuple[list[DatasetFile], list[DatasetFile]]: ...


class Finish(Protocol):
    """Join the parts of all shards, in order, into files under ``staging.data``; return those."""

    def __call__(
        self, staging: Staging, header: Header, shards: Sequence[ShardRecord]
    ) -> list[DatasetFile]: ...


@dataclass(frozen=True)
class Format:
    """One way to lay a data set out on disk."""

    name: str
    write_shard: WriteShard
    finish: Finish


FORMATS: dict[str, Format] = {
    "imagefolder": Format("imagefolder", imagefolder.write_shard, imagefolder.finish),
    "webdataset": Format("webdataset", webdataset.write_shard, webdataset.finish),
    "npz": Format("npz", npz.write_shard, npz.finish),
}


def get_format(name: str) -> Format:
    """The format of that name, or ConfigError with the names that exist."""
    try:
        return FORMATS[name]
    except KeyError:
        raise ConfigError(
            f"There is no output format {name!r}{closest(name, FORMATS)}. Formats: {', '.join(FORMATS)}."
        ) from None
