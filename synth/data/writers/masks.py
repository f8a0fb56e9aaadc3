"""``images``, and ``masks`` of the same names: grey pictures of the class of each pixel."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from synth.batch import Batch
from synth.data.encode import Encoding
from synth.data.writers.files import write_file
from synth.data.writers.manifest import DatasetFile
from synth.data.writers.objects import annotated
from synth.data.writers.staging import Header, ShardRecord, Staging
from synth.errors import UsageError


def write_shard(
    staging: Staging, number: int, batches: Sequence[Batch], encoding: Encoding
) -> tuple[list[DatasetFile], list[DatasetFile]]:
    """The images and masks of one shard."""
    files = []
    for key, data, _, one in annotated(batches, encoding):
        if one.mask is None:
            raise UsageError(f"{one.record.origin} has no mask: use the format voc, coco or yolo.")
        files.append(write_file(staging.data, f"images/{key}.{encoding.suffix}", data))
        files.append(write_file(staging.data, f"masks/{key}.png", _encoded(one.mask)))
    return files, []


def finish(staging: Staging, header: Header, shards: Sequence[ShardRecord]) -> list[DatasetFile]:
    """Nothing: each image has its own files."""
    return []


def _encoded(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    wide = values.max(initial=0) > np.iinfo(np.uint8).max
    Image.fromarray(values.astype(np.uint16 if wide else np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()
