"""A small generator to publish, and a store to publish it in."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from synth.artifacts import Draft, ImageInfo, Metric, Store


def make_draft(**changes: object) -> Draft:
    """A labelled grey generator with 40 kB of weights; ``changes`` replace its fields."""
    fields = {
        "family": "vae",
        "network": {"width": 8, "stages": (1, 2)},
        "image": ImageInfo(channels=1, height=8, width=12),
        "classes": ["cat", "dog"],
        "weights": {"layer.weight": torch.arange(10_000, dtype=torch.float32).reshape(100, 100)},
        "parameters": 10_000,
        "recipe": {"learning_rate": 1e-3},
        "source": "photos",
        "images": 3,
        "images_seen": 600,
        "seconds": 1.5,
        "ids": [hashlib.sha256(bytes([number])).hexdigest() for number in range(3)],
        "class_counts": [1, 2],
        "pixel_mean": [0.4],
        "pixel_std": [0.2],
        "metrics": {"loss": Metric(value=0.25, how="mean over 3 held-out images")},
        "preview": Image.new("L", (24, 8), 128),
    }
    return Draft(**{**fields, **changes})


@pytest.fixture
def draft() -> Draft:
    return make_draft()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")
