"""A folder of images, one sub-folder per class, with ``metadata.jsonl``.

torchvision's ``ImageFolder`` takes labels from the folders; Hugging Face's ``imagefolder`` takes ``label``
and ``label_name`` from the metadata. Images without a class of their own lie in ``images``; of those that
were mixed, the metadata has the ``shares`` of all classes. A seed beyond int64 is text there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence

from synth.batch import Batch
from synth.data.encode import Encoding
from synth.data.provenance import png_texts, sample_key, sample_records
from synth.data.writers.files import describe, flush, write_file
from synth.data.writers.manifest import DatasetFile
from synth.data.writers.names import METADATA, folder_names
from synth.data.writers.staging import Header, ShardRecord, Staging

_MAX_INT64 = 2**63 - 1


def write_shard(
    staging: Staging, number: int, batches: Sequence[Batch], encoding: Encoding
) -> tuple[list[DatasetFile], list[DatasetFile]]:
    """The images of one shard, and their metadata lines as a part."""
    classes = batches[0].classes
    folders = None if classes is None else folder_names(classes)
    files, lines = [], []
    encoded = (file for batch in batches for file in encoding.encode(batch.numpy(), png_texts(batch)))
    records = (record for batch in batches for record in sample_records(batch))
    for data, record in zip(encoded, records, strict=True):
        label = record["label"]
        folder = "images" if folders is None or label is None else folders[label]
        name = f"{folder}/{sample_key(record['index'])}.{encoding.suffix}"
        files.append(write_file(staging.data, name, data))
        if record["seed"] > _MAX_INT64:
            # Arrow, which Hugging Face reads this with, would round it to a float.
            record["seed"] = str(record["seed"])
        lines.append(json.dumps({"file_name": name, **record}, ensure_ascii=False) + "\n")
    return files, [write_file(staging.parts, f"{number:06d}.jsonl", "".join(lines).encode())]


def finish(staging: Staging, header: Header, shards: Sequence[ShardRecord]) -> list[DatasetFile]:
    """``metadata.jsonl``."""
    path = staging.data / METADATA
    with open(path, "wb") as joined:
        for shard in shards:
            with open(staging.parts / shard.parts[0].path, "rb") as part:
                shutil.copyfileobj(part, joined)
    flush([path])
    return [describe(staging.data, METADATA)]
