"""The forms of an answer with images, for the OpenAPI description: what is in each, and how to ask for it."""

from __future__ import annotations

from typing import Any

from synth.serving.answers import GeneratedImage, GenerationAnswer
from synth.serving.forms import FORMS

_ABOUT = {
    "png": "One PNG file; key and provenance are in its text.",
    "tar": "WebDataset: for each sample a .png, a .json with its key, and a .cls where there are classes.",
    "npz": "NumPy arrays: images uint8 [N, H, W, C], index, labels, seed and provenance.",
    "raw": "uint8 [N, H, W, C] in C order; shape and keys are in the headers.",
    "multipart": "One part for each image: its PNG file, its key as JSON in the header X-Synth-Record.",
}
_FINGERPRINT = {
    "model": "fashion@3",
    "digest": "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4",
    "torch": "2.11.0",
    "device": "cpu",
    "precision": "32",
    "mode": "fast",
}
_BLACK_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
_JSON = GenerationAnswer(
    model="fashion@3",
    digest=_FINGERPRINT["digest"],
    seed=7,
    start=0,
    shape=(1, 1, 1, 1),
    classes=["coat", "bag"],
    parameters={"temperature": 1.0},
    fingerprint=_FINGERPRINT,
    synthetic=True,
    data=[GeneratedImage(b64_png=_BLACK_PIXEL, seed=7, index=0, label=1, label_name="bag")],
)

REQUESTS: dict[str, Any] = {
    "balanced": {
        "summary": "64 images, as many of each class, as a tar file",
        "value": {"model": "fashion", "count": 64, "labels": "balanced", "seed": 7, "format": "tar"},
    },
    "counts": {
        "summary": "So many of each class, as NumPy arrays",
        "value": {"model": "fashion@3", "labels": {"coat": 10, "bag": 30}, "count": 40, "format": "npz"},
    },
    "one": {"summary": "One image as PNG", "value": {"format": "png"}},
    "parts": {"summary": "Three PNG files in one answer", "value": {"count": 3, "format": "multipart"}},
    "json": {"summary": "Two images in JSON", "value": {"count": 2, "format": "json"}},
    "next": {
        "summary": "The 64 after the first 64, as raw pixels",
        "value": {"count": 64, "seed": 7, "start": 64, "format": "raw"},
    },
}
"""Examples of requests for images, one at least for each form."""


def form_content(json_schema: dict[str, Any], *, example: bool = True) -> dict[str, Any]:
    """``content`` of an answer that comes in any form; ``json_schema`` is that of JSON.

    ``example``: whether it is what a model has made.
    """
    content: dict[str, Any] = {
        FORMS[name].media_type: {"schema": {"type": "string", "format": "binary", "description": about}}
        for name, about in _ABOUT.items()
    }
    told: dict[str, Any] = {"schema": json_schema}
    if example:
        told["example"] = _JSON.model_dump(mode="json")
    return {"application/json": told, **content}
