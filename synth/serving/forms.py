"""The five forms of an answer with images. Encoding is slow and blocks: call it in a thread."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synth.batch import Batch
from synth.data.layout import npz_columns, npz_constants, write_tar
from synth.data.png import encode_batch
from synth.data.provenance import png_texts, sample_records

_BYTES_BESIDE_PIXELS = 8192
"""Of memory for each image: its texts, records and headers, in all the copies that are made of them."""
_LONGEST_LABELS = 4096
"""Characters: many clients and proxies refuse headers of 8 KB, so that long lists are left to the bodies."""


@dataclass(frozen=True)
class Form:
    """One form: its name in ``format``, its media type in ``Accept``."""

    name: str
    media_type: str
    encode: Callable[[Batch], bytes]
    copies: int
    """Of the pixels in memory at once while they are encoded, the raw ones included, if they are noise."""
    single: bool = False
    """Holds exactly one image."""
    labels_in_body: bool = True

    def memory(self, image_bytes: int) -> int:
        """Bytes of memory that each image of ``image_bytes`` raw bytes takes at the most until it is sent."""
        return self.copies * image_bytes + _BYTES_BESIDE_PIXELS


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
    return encode_batch(batch.numpy(), png_texts(batch))[0]


def _json(batch: Batch) -> bytes:
    data = []
    for png, record in zip(encode_batch(batch.numpy(), png_texts(batch)), sample_records(batch), strict=True):
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
    buffer = io.BytesIO()
    write_tar(buffer, batch)
    return buffer.getvalue()


def _npz(batch: Batch) -> bytes:
    """The same arrays as in the data sets that ``synth generate --format npz`` writes."""
    constants = npz_constants(
        seed=batch.seed,
        fingerprint=batch.fingerprint.as_dict(),
        parameters=batch.parameters or {},
        classes=batch.classes,
    )
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **npz_columns(batch), **constants)
    return buffer.getvalue()


def _raw(batch: Batch) -> bytes:
    return batch.numpy().tobytes()


FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Form("png", "image/png", _png, copies=4, single=True),
        Form("json", "application/json", _json, copies=6),
        Form("tar", "application/x-tar", _tar, copies=4),
        Form("npz", "application/x-npz", _npz, copies=4),
        Form("raw", "application/octet-stream", _raw, copies=3, labels_in_body=False),
    )
}
"""In order of preference: what a client gets that does not say."""
