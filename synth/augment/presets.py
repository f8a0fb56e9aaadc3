"""Pipelines that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "basic": {
        "version": 1,
        "sample": [
            {"operation": "crop@1", "padding": 4, "edge": "reflect"},
            {"operation": "horizontal_flip@1"},
            {"operation": "affine@1", "probability": 0.5, "edge": "reflect"},
            {"operation": "brightness@1", "probability": 0.5},
            {"operation": "contrast@1", "probability": 0.5},
        ],
    },
}
"""``basic``: small shifts, mirroring, and gentle changes of shape and light, for photographs of things."""
