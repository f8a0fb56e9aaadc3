"""How answers with images are put into bytes, batch by batch, to be sent while they are made."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from typing import IO, Protocol, cast

import numpy as np

from synth.batch import Batch
from synth.data.layout import npz_constants, npz_keys, tar_end, tar_members
from synth.data.png import encode_batch
from synth.data.provenance import png_texts, sample_key, sample_records

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""Of all members, so that equal contents are equal files."""


_TOLD = ("seed", "index", "label", "label_name", "shares", "source_id")
"""What JSON has of each record; all else is the same for all images."""


class Encoder(Protocol):
    """One answer on its way: ``head``, then ``part`` of each batch in order, then ``tail``."""

    media_type: str
    """With its parameters."""

    @property
    def length(self) -> int | None:
        """Bytes of the whole answer, where that is known before the images are made."""

    def head(self) -> bytes:
        """What comes before the images."""

    def part(self, batch: Batch) -> bytes:
        """The next images."""

    def tail(self) -> bytes:
        """What comes after the images."""


class _Plain:
    """Nothing before the images and nothing after them."""

    media_type: str
    length: int | None = None

    def __init__(self, whole: Batch) -> None:
        """``whole``: all that is known before the images are made; its pixels are never looked at."""
        self._whole = whole

    def head(self) -> bytes:
        return b""

    def tail(self) -> bytes:
        return b""


class RawEncoder(_Plain):
    """uint8 [N, H, W, C] in C order."""

    media_type = "application/octet-stream"

    @property
    def length(self) -> int:  # type: ignore[override]
        """One byte for each value."""
        return self._whole.images.numel()

    def part(self, batch: Batch) -> bytes:
        """The pixels."""
        return batch.numpy().tobytes()


class PngEncoder(_Plain):
    """One PNG file."""

    media_type = "image/png"

    def part(self, batch: Batch) -> bytes:
        """The file."""
        return encode_batch(batch.numpy(), png_texts(batch))[0]


class TarEncoder(_Plain):
    """A WebDataset shard."""

    media_type = "application/x-tar"

    def __init__(self, whole: Batch) -> None:
        super().__init__(whole)
        self._written = 0

    def part(self, batch: Batch) -> bytes:
        """The members of each sample."""
        members = tar_members(batch)
        self._written += len(members)
        return members

    def tail(self) -> bytes:
        """The end of the archive."""
        return tar_end(self._written)


class MultipartEncoder(_Plain):
    """One part for each image: its PNG file, its record as ASCII JSON in the header ``X-Synth-Record``."""

    def __init__(self, whole: Batch) -> None:
        super().__init__(whole)
        # Equal requests have equal answers, and no PNG holds this but by a chance of one in 2**128.
        self._boundary = f"synth-{whole.fingerprint.digest[:32]}-{whole.seed:x}"
        self.media_type = f"multipart/mixed; boundary={self._boundary}"

    def part(self, batch: Batch) -> bytes:
        """A part for each image, each after its boundary."""
        pieces: list[bytes] = []
        files = encode_batch(batch.numpy(), png_texts(batch))
        for file, record in zip(files, sample_records(batch), strict=True):
            head = (
                f"--{self._boundary}\r\nContent-Type: image/png\r\nContent-Length: {len(file)}\r\n"
                f'Content-Disposition: attachment; filename="{sample_key(record["index"])}.png"\r\n'
                f"X-Synth-Record: {json.dumps(record)}\r\n\r\n"
            )
            pieces += (head.encode("ascii"), file, b"\r\n")
        return b"".join(pieces)

    def tail(self) -> bytes:
        """The last boundary."""
        return f"--{self._boundary}--\r\n".encode("ascii")


class JsonEncoder(_Plain):
    """``synth.serving.answers.GenerationAnswer``."""

    media_type = "application/json"

    def __init__(self, whole: Batch) -> None:
        super().__init__(whole)
        self._before = ""

    def head(self) -> bytes:
        """All fields but the last, which has the images."""
        whole = self._whole
        count, channels, height, width = whole.images.shape
        fields = {
            "model": whole.fingerprint.model,
            "digest": whole.fingerprint.digest,
            "seed": whole.seed,
            "start": int(whole.index[0]),
            "shape": (count, height or None, width or None, channels),  # 0 where sizes differ
            "classes": whole.classes,
            "parameters": dict(whole.parameters or {}),
            "fingerprint": whole.fingerprint.as_dict(),
            "synthetic": True,
        }
        return (json.dumps(fields, allow_nan=False).removesuffix("}") + ', "data": [').encode()

    def part(self, batch: Batch) -> bytes:
        """The items of the field ``data``."""
        items = []
        files = encode_batch(batch.numpy(), png_texts(batch))
        for file, record in zip(files, sample_records(batch), strict=True):
            own = {key: record[key] for key in _TOLD if key in record}
            if "epoch" in record["parameters"]:
                own["epoch"] = record["parameters"]["epoch"]
            items.append(json.dumps({"b64_png": base64.b64encode(file).decode(), **own}))
        text, self._before = self._before + ", ".join(items), ", "
        return text.encode()

    def tail(self) -> bytes:
        """The end of the list and of the object."""
        return b"]}"


class NpzEncoder(_Plain):
    """The same arrays as in the data sets that ``synth generate --format npz`` writes, the images first."""

    media_type = "application/x-npz"

    def __init__(self, whole: Batch) -> None:
        super().__init__(whole)
        self._sink = _Sink()
        self._zip = _Archive(cast("IO[bytes]", self._sink), "w", zipfile.ZIP_STORED)
        # As for all members of archives that are not seekable, its size and checksum follow it.
        self._images = self._zip.open(_member("images"), "w", force_zip64=True)

    def head(self) -> bytes:
        """The header of the images."""
        count, channels, height, width = self._whole.images.shape
        shape = (count, height, width, channels)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._images, header)
        return self._sink.drain()

    def part(self, batch: Batch) -> bytes:
        """The pixels."""
        self._images.write(batch.numpy().tobytes())
        return self._sink.drain()

    def tail(self) -> bytes:
        """The other arrays, and the directory."""
        self._images.close()
        whole = self._whole
        constants = npz_constants(
            seed=whole.seed,
            fingerprint=whole.fingerprint.as_dict(),
            parameters=whole.parameters or {},
            classes=whole.classes,
        )
        for name, array in {**npz_keys(whole), **constants}.items():
            file = io.BytesIO()
            np.lib.format.write_array(file, array, allow_pickle=False)
            self._zip.writestr(_member(name), file.getvalue())
        self._zip.close()
        return self._sink.drain()


class _Archive(zipfile.ZipFile):
    """One that may be given up half written, as answers are whose images could not be made."""

    def __del__(self) -> None:
        """Nothing is closed: the sink holds no file, and a member that is still open would be an error."""


class _Sink:
    """What a ZipFile writes to; not seekable, like the connection that it stands for."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None: ...

    def drain(self) -> bytes:
        """All that was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(f"{name}.npy", _ZIP_TIME)
