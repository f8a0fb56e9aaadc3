"""One ``data.npz``, with the arrays that ``synth.data.layout`` names.

Shards lie in ``.npy`` parts and are streamed into the archive, so that memory holds one shard at most.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from typing import IO

import numpy as np

from synth.batch import Batch
from synth.data.encode import Encoding
from synth.data.layout import npz_columns, npz_constants
from synth.data.writers.files import describe, flush
from synth.data.writers.manifest import DatasetFile
from synth.data.writers.staging import Header, ShardRecord, Staging

FILE = "data.npz"


def write_shard(
    staging: Staging, number: int, batches: Sequence[Batch], encoding: Encoding
) -> tuple[list[DatasetFile], list[DatasetFile]]:
    """One ``.npy`` part for each array that grows with the samples."""
    parts = []
    for name, array in npz_columns(Batch.concatenate(list(batches))).items():
        part = _part(name, number)
        np.save(staging.parts / part, array, allow_pickle=False)
        parts.append(describe(staging.parts, part))
    return [], parts


def finish(staging: Staging, header: Header, shards: Sequence[ShardRecord]) -> list[DatasetFile]:
    """``data.npz``."""
    constants = npz_constants(
        seed=header.seed,
        fingerprint=header.fingerprint,
        parameters=header.parameters,
        classes=header.classes,
    )
    with zipfile.ZipFile(staging.data / FILE, "w") as archive:
        for name in _grown(staging, header, shards):
            with _member(archive, name) as member:
                _join(staging, name, shards, member)
        for name, value in constants.items():
            with _member(archive, name) as member:
                np.lib.format.write_array(member, value, allow_pickle=False)
    flush([staging.data / FILE])
    return [describe(staging.data, FILE)]


def _grown(staging: Staging, header: Header, shards: Sequence[ShardRecord]) -> list[str]:
    """Names of the arrays that grow with the samples, in the order of the file."""
    there = {part.path for part in shards[0].parts}
    names = ("images", "labels", "index", "sources")
    return [name for name in names if _part(name, shards[0].number) in there]


def _join(staging: Staging, name: str, shards: Sequence[ShardRecord], member: IO[bytes]) -> None:
    """Write the parts of one array, end to end, as one ``.npy`` file."""
    total = sum(shard.count for shard in shards)
    for position, shard in enumerate(shards):
        array = np.load(staging.parts / _part(name, shard.number), allow_pickle=False)
        if position == 0:
            form = np.lib.format.header_data_from_array_1_0(array)
            np.lib.format.write_array_header_1_0(member, {**form, "shape": (total, *array.shape[1:])})
        member.write(array.data)


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    # A fixed date makes equal contents equal files.
    info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
    return archive.open(info, "w", force_zip64=True)


def _part(name: str, number: int) -> str:
    return f"{name}-{number:06d}.npy"
