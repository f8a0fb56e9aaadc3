"""The forms of an answer with images. Encoding is slow and blocks: call it in a thread if there is much."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from synth.batch import Batch, Fingerprint
from synth.errors import UsageError
from synth.serving.encoders import (
    Encoder,
    JsonEncoder,
    MultipartEncoder,
    NpzEncoder,
    PngEncoder,
    RawEncoder,
    TarEncoder,
)

_BYTES_BESIDE_PIXELS = 8192
"""Of memory for each image: its texts, records and headers, in all the copies that are made of them."""
_LONGEST_LABELS = 4096
"""Characters: many clients and proxies refuse headers of 8 KB, so that long lists are left to the bodies."""
_LONGEST_HEADER = 60_000
"""Characters: what the client of Python's standard library reads of one header, and then some."""


@dataclass(frozen=True)
class Form:
    """One form: its name in ``format``, its media type in ``Accept``."""

    name: str
    media_type: str
    open: Callable[[Batch], Encoder]
    """Begins an answer, of which all but the pixels is known."""
    copies: int
    """Of the pixels in memory at once while they are encoded, the raw ones included, if they are noise."""
    single: bool = False
    """Holds exactly one image."""
    any_size: bool = True
    """The images may differ in size, as files may and rows of an array may not."""
    labels_in_body: bool = True

    def memory(self, image_bytes: int) -> int:
        """Bytes of memory that each image of ``image_bytes`` raw bytes takes at the most until it is sent."""
        return self.copies * image_bytes + _BYTES_BESIDE_PIXELS


def answer_headers(batch: Batch, form: Form) -> dict[str, str]:
    """``X-Synth-*``: what is made, of what shape, and how to make it again; no pixels are looked at.

    ``X-Synth-Labels`` is left out without classes, and where it would be longer than 4,096 characters
    unless the body does not tell the labels. Raises UsageError where no body and no header can.
    """
    count, channels, height, width = batch.images.shape
    headers = {
        "X-Synth-Model": batch.fingerprint.model,
        "X-Synth-Digest": batch.fingerprint.digest,
        "X-Synth-Seed": str(batch.seed),
        "X-Synth-Start": str(int(batch.index[0])),
        "X-Synth-Shape": f"{count},{height or '*'},{width or '*'},{channels}",  # 0 where sizes differ
        "X-Synth-Dtype": "uint8",
        "X-Synth-Fingerprint": _as_json(batch.fingerprint),
    }
    labels = _labels(batch, form)
    if labels is not None:
        headers["X-Synth-Labels"] = labels
    if "epoch" in (batch.parameters or {}):
        headers["X-Synth-Epoch"] = str((batch.parameters or {})["epoch"])
    return headers


def _labels(batch: Batch, form: Form) -> str | None:
    """For a header; None where there are none, or so many that they are left to the body."""
    if batch.labels is None:
        return None
    most = _LONGEST_LABELS if form.labels_in_body else _LONGEST_HEADER
    # Each takes two characters at least: millions of them need not be written to know that they are too many.
    length = 2 * batch.labels.numel() - 1
    if length <= most:
        text = ",".join(map(_label, batch.labels.tolist()))
        if len(text) <= most:
            return text
        length = len(text)
    if form.labels_in_body:
        return None
    raise UsageError(
        f"The labels take {length:,} characters or more, and the format {form.name} has only a header for "
        "them: ask for npz, or for fewer images."
    )


def _label(label: int | list[float]) -> str:
    return str(label) if isinstance(label, int) else " ".join(f"{share:.9g}" for share in label)


@lru_cache(maxsize=256)
def _as_json(fingerprint: Fingerprint) -> str:
    return json.dumps(fingerprint.as_dict(), sort_keys=True)


FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Form("png", PngEncoder.media_type, PngEncoder, copies=4, single=True),
        Form("json", JsonEncoder.media_type, JsonEncoder, copies=6),
        Form("tar", TarEncoder.media_type, TarEncoder, copies=4),
        Form("npz", NpzEncoder.media_type, NpzEncoder, copies=4, any_size=False),
        Form("raw", RawEncoder.media_type, RawEncoder, copies=3, labels_in_body=False, any_size=False),
        Form("multipart", "multipart/mixed", MultipartEncoder, copies=4),
    )
}
"""In order of preference: what a client gets that does not say."""
