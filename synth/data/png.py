"""PNG images that say of themselves that they are synthetic, and how to make them again."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from synth import __version__
from synth.batch import Batch

# Level 1 is 2 to 3 times as fast as the default and the files of noisy images are hardly larger.
_COMPRESSION = 1


def encode_png(image: np.ndarray, text: Mapping[str, str]) -> bytes:
    """A PNG file in memory; equal input gives equal bytes.

    Args:
        image: uint8 [H, W, C], C 1 (grey) or 3 (RGB).
        text: keyword -> text chunks, in this order; tEXt, or iTXt where the text is not Latin-1.
    """
    info = PngInfo()
    for keyword, value in text.items():
        info.add_text(keyword, value)
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", pnginfo=info, compress_level=_COMPRESSION)
    return buffer.getvalue()


def sample_key(index: int) -> str:
    """The file stem of a sample: its index with at least 12 digits, so that names sort by index."""
    return f"{index:012d}"


def sample_record(batch: Batch, row: int) -> dict[str, Any]:
    """All that is recorded of one sample, ready for JSON, the same in every format.

    ``label`` (number) and ``label_name`` are None for a generator without classes.
    """
    return {
        "synthetic": True,
        "model": batch.fingerprint.model,
        "digest": batch.fingerprint.digest,
        "seed": batch.seed,
        "index": int(batch.index[row]),
        "label": None if batch.labels is None else int(batch.labels[row]),
        "label_name": batch.label_name(row),
        "parameters": dict(batch.parameters or {}),
    }


def png_text(batch: Batch, row: int) -> dict[str, str]:
    """The text chunks of one sample: provenance under ``synth:``, and a comment for people."""
    record = sample_record(batch, row)
    text = {
        "Software": f"synth {__version__}",
        "synth:synthetic": "true",
        "synth:model": record["model"],
        "synth:digest": record["digest"],
        "synth:seed": str(record["seed"]),
        "synth:index": str(record["index"]),
        "synth:parameters": json.dumps(record["parameters"], sort_keys=True),
        "synth:fingerprint": json.dumps(batch.fingerprint.as_dict(), sort_keys=True),
        "Comment": f"Synthetic image. Reproduce with: {reproduce_command(batch, row)}",
    }
    if record["label"] is not None:
        text["synth:label"] = record["label_name"] or str(record["label"])
    return text


def reproduce_command(batch: Batch, row: int) -> str:
    """The command line that makes one sample again, quoted for a POSIX shell."""
    fingerprint = batch.fingerprint
    words = ["synth", "generate", fingerprint.model, "--count", "1"]
    words += ["--seed", str(batch.seed), "--start", str(int(batch.index[row]))]
    if batch.labels is not None:
        words += ["--labels", _label_argument(batch.label_name(row), int(batch.labels[row]))]
    for name, value in sorted((batch.parameters or {}).items()):
        words += ["--set", f"{name}={value}"]
    words += ["--precision", fingerprint.precision, "--mode", fingerprint.mode, "--out", "DIR"]
    return shlex.join(words)


def _label_argument(name: str | None, number: int) -> str:
    """The class name, or its number where the name would be read as another kind of request."""
    return str(number) if name is None or "=" in name or name in ("any", "balanced") else name
