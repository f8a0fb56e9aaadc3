"""WebDataset tar shards: ``KEY.png``, ``KEY.cls`` (class number; where there are classes), ``KEY.json``."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence

from synth.batch import Batch
from synth.data.png import encode_png, png_text, sample_key, sample_record
from synth.data.writers.files import describe
from synth.data.writers.manifest import DatasetFile
from synth.data.writers.staging import Header, ShardRecord, Staging


def write_shard(staging: Staging, number: int, batch: Batch) -> tuple[list[DatasetFile], list[DatasetFile]]:
    """``NUMBER.tar``."""
    name = f"{number:06d}.tar"
    images = batch.numpy()
    with tarfile.open(staging.data / name, "w", format=tarfile.GNU_FORMAT) as tar:
        for row in range(len(batch)):
            record = sample_record(batch, row)
            key = sample_key(record["index"])
            _add(tar, f"{key}.png", encode_png(images[row], png_text(batch, row)))
            if record["label"] is not None:
                _add(tar, f"{key}.cls", str(record["label"]).encode())
            _add(tar, f"{key}.json", json.dumps(record, ensure_ascii=False).encode())
    return [describe(staging.data, name)], []


def finish(staging: Staging, header: Header, shards: Sequence[ShardRecord]) -> list[DatasetFile]:
    """Nothing: the shards are the data set."""
    return []


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    # TarInfo's defaults (time 0, no owner, mode 0644) make equal contents equal files.
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
