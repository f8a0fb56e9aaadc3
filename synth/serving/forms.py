"""The five forms of an answer with images. Encoding is slow and blocks: call it in a thread."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synth.batch import Batch
from synth.data.png import encode_png, png_text, sample_key, sample_record

_LONGEST_LABELS = 4096
"""Characters: many clients and proxies refuse headers of 8 KB, so that long lists are left to the bodies."""


@dataclass(frozen=True)
class Form:
    """One form: its name in ``format``, its media type in ``Accept``."""

    name: str
    media_type: str
    encode: Callable[[Batch], bytes]
    single: bool = False
    """Holds exactly one image."""
    labels_in_body: bool = True


@dataclass(frozen=True)
class Answer:
    """An encoded batch, ready to be sent."""

    body: bytes
    media_type: str
    headers: dict[str, str]


def encode_answer(batch: Batch, form: Form) -> Answer:
    """The whole answer: the body in its form, and the headers that all forms have."""
    return Answer(form.encode(batch), form.media_type, answer_headers(batch, form))


def answer_headers(batch: Batch, form: Form) -> dict[str, str]:
    """``X-Synth-*``: what was made, of what shape, and how to make it again.

    ``X-Synth-Labels`` is left out without classes, and where it would be longer than 4,096 characters
    unless the body does not tell the labels.
    """
    headers = {
        "X-Synth-Model": batch.fingerprint.model,
        "X-Synth-Digest": batch.fingerprint.digest,
        "X-Synth-Seed": str(batch.seed),
        "X-Synth-Start": str(int(batch.index[0])),
        "X-Synth-Shape": ",".join(str(size) for size in image_shape(batch)),
        "X-Synth-Dtype": "uint8",
        "X-Synth-Fingerprint": json.dumps(batch.fingerprint.as_dict(), sort_keys=True),
    }
    if batch.labels is not None:
        labels = ",".join(str(label) for label in batch.labels.tolist())
        if len(labels) <= _LONGEST_LABELS or not form.labels_in_body:
            headers["X-Synth-Labels"] = labels
    return headers


def image_shape(batch: Batch) -> tuple[int, int, int, int]:
    """N, H, W, C."""
    count, channels, height, width = batch.images.shape
    return count, height, width, channels


def _png(batch: Batch) -> bytes:
    return encode_png(batch.numpy()[0], png_text(batch, 0))


def _json(batch: Batch) -> bytes:
    images = batch.numpy()
    data = []
    for row in range(len(batch)):
        record = sample_record(batch, row)
        png = encode_png(images[row], png_text(batch, row))
        own = {key: record[key] for key in ("seed", "index", "label", "label_name")}
        data.append({"b64_png": base64.b64encode(png).decode(), **own})
    answer = {
        "model": batch.fingerprint.model,
        "digest": batch.fingerprint.digest,
        "seed": batch.seed,
        "start": int(batch.index[0]),
        "shape": image_shape(batch),
        "classes": batch.classes,
        "parameters": dict(batch.parameters or {}),
        "fingerprint": batch.fingerprint.as_dict(),
        "synthetic": True,
        "data": data,
    }
    return json.dumps(answer, allow_nan=False).encode()


def _tar(batch: Batch) -> bytes:
    """A WebDataset shard: ``KEY.png``, ``KEY.cls`` (class number, where there are classes), ``KEY.json``."""
    images = batch.numpy()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for row in range(len(batch)):
            record = sample_record(batch, row)
            key = sample_key(record["index"])
            _add(tar, f"{key}.png", encode_png(images[row], png_text(batch, row)))
            if record["label"] is not None:
                _add(tar, f"{key}.cls", str(record["label"]).encode())
            _add(tar, f"{key}.json", json.dumps(record, ensure_ascii=False).encode())
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _npz(batch: Batch) -> bytes:
    """The same arrays as in the data sets that ``synth generate --format npz`` writes."""
    arrays = {
        "images": batch.numpy(),
        "index": batch.index.cpu().numpy(),
        "seed": np.asarray(batch.seed, dtype=np.uint64),
        "model": np.asarray(batch.fingerprint.model),
        "digest": np.asarray(batch.fingerprint.digest),
        "parameters": np.asarray(json.dumps(dict(batch.parameters or {}), sort_keys=True)),
        "fingerprint": np.asarray(json.dumps(batch.fingerprint.as_dict(), sort_keys=True)),
    }
    if batch.labels is not None:
        arrays["labels"] = batch.labels.cpu().numpy()
    if batch.classes is not None:
        arrays["class_names"] = np.asarray(batch.classes, dtype=np.str_)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _raw(batch: Batch) -> bytes:
    return batch.numpy().tobytes()


FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Form("png", "image/png", _png, single=True),
        Form("json", "application/json", _json),
        Form("tar", "application/x-tar", _tar),
        Form("npz", "application/x-npz", _npz),
        Form("raw", "application/octet-stream", _raw, labels_in_body=False),
    )
}
"""In order of preference: what a client gets that does not say."""
