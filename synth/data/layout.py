"""The layouts of samples in tar and NPZ archives, the same on disk and in the answers of the server."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping, Sequence
from typing import IO

import numpy as np

from synth.batch import Batch, Parameters
from synth.data.encode import PNG, Encoding
from synth.data.provenance import png_texts, sample_key, sample_records


def write_tar(file: IO[bytes], batches: Sequence[Batch], encoding: Encoding = PNG) -> None:
    """A WebDataset shard: ``tar_members`` of each batch, and ``tar_end``."""
    written = sum(file.write(tar_members(batch, encoding)) for batch in batches)
    file.write(tar_end(written))


def tar_members(batch: Batch, encoding: Encoding = PNG) -> bytes:
    """``KEY.png``, ``KEY.cls`` (class number, where there are classes) and ``KEY.json`` of each sample.

    Other encodings have their own suffix. Members carry neither time nor owner, so that equal contents are
    equal files.
    """
    empty = _empty_header()
    blocks: list[bytes] = []
    encoded = encoding.encode(batch.numpy(), png_texts(batch))
    for data, record in zip(encoded, sample_records(batch), strict=True):
        members = {encoding.suffix: data}
        if record["label"] is not None:
            members["cls"] = str(record["label"]).encode()
        members["json"] = json.dumps(record, ensure_ascii=False).encode()
        key = sample_key(record["index"])
        for kind, data in members.items():
            blocks += (
                _header(empty, f"{key}.{kind}", len(data)),
                data,
                bytes(-len(data) % tarfile.BLOCKSIZE),
            )
    return b"".join(blocks)


def tar_end(written: int) -> bytes:
    """What follows ``written`` bytes of members: two empty blocks, and up to a whole record."""
    end = 2 * tarfile.BLOCKSIZE
    return bytes(end + -(written + end) % tarfile.RECORDSIZE)


def npz_columns(batch: Batch) -> dict[str, np.ndarray]:
    """The arrays that grow with the samples.

    images   uint8 [N, H, W, C]
    labels   int64 [N], or float32 [N, K] of shares; only where there are classes
    index    int64 [N]
    sources  text [N], content hashes; only where the images were made from others
    """
    return {"images": batch.numpy(), **npz_keys(batch)}


def npz_keys(batch: Batch) -> dict[str, np.ndarray]:
    """The columns besides ``images``; no pixels are looked at."""
    keys = {"index": batch.index.cpu().numpy()}
    if batch.labels is not None:
        keys = {"labels": batch.labels.cpu().numpy(), **keys}
    if batch.sources is not None:
        keys["sources"] = np.asarray(batch.sources, dtype=np.str_)
    return keys


def npz_constants(
    *,
    seed: int,
    fingerprint: Mapping[str, str],
    parameters: Parameters,
    classes: Sequence[str] | None,
) -> dict[str, np.ndarray]:
    """The arrays that all samples share.

    seed                      uint64 scalar
    model, digest             text scalars
    parameters, fingerprint   JSON as text scalars
    class_names               text [K]; only where there are classes
    """
    constants = {
        "seed": np.asarray(seed, dtype=np.uint64),
        "model": np.asarray(fingerprint["model"]),
        "digest": np.asarray(fingerprint["digest"]),
        "parameters": np.asarray(json.dumps(dict(parameters), sort_keys=True)),
        "fingerprint": np.asarray(json.dumps(dict(fingerprint), sort_keys=True)),
    }
    if classes is not None:
        constants["class_names"] = np.asarray(classes, dtype=np.str_)
    return constants


# tarfile takes 50 microseconds for each member, longer than a small image takes to encode.
_NAME, _SIZE, _CHECKSUM = slice(0, 100), slice(124, 135), slice(148, 156)


def _empty_header() -> bytes:
    """The header block of a file without a name, its checksum blank, as the sum takes it."""
    header = bytearray(tarfile.TarInfo().tobuf(tarfile.GNU_FORMAT))
    header[_CHECKSUM] = b" " * 8
    return bytes(header)


def _header(empty: bytes, name: str, size: int) -> bytes:
    header = bytearray(empty)
    header[_NAME] = name.encode().ljust(100, b"\0")
    header[_SIZE] = b"%011o" % size
    header[_CHECKSUM] = b"%06o\0 " % sum(header)
    return bytes(header)
