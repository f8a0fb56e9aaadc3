"""Images as those of Fashion-MNIST are: grey, 28 x 28, ten classes, a bright shape on black."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from synth.data import open_source

os.environ.setdefault("KERAS_BACKEND", "torch")  # which Keras reads once, when it is imported

CLASSES = ("top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")


def draw_clothes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [count, 28, 28] and int64 [count]."""
    random = np.random.default_rng(8)
    labels = np.arange(count) % len(CLASSES)
    y, x = np.mgrid[:28, :28]
    images = np.zeros((count, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        top, left = random.integers(2, 8, 2)
        shape = (y >= top) & (y < 26 - label) & (x >= left) & (x < 27 - left)
        image[shape] = (90 + 12 * label + random.integers(0, 40, (28, 28)))[shape]
    return images, labels


@pytest.fixture(scope="session")
def clothes(tmp_path_factory) -> Path:
    """An .npz file of 256 images."""
    path = tmp_path_factory.mktemp("clothes") / "clothes.npz"
    images, labels = draw_clothes(256)
    np.savez(path, images=images, labels=labels, class_names=CLASSES)
    return path


@pytest.fixture
def source(clothes):
    return open_source(clothes)


def digest(pairs) -> str:
    """Of the bytes of all images and labels, whatever their order."""
    parts = sorted(_bytes(image) + _bytes(label) for image, label in pairs)
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _bytes(value) -> bytes:
    return np.asarray(value).tobytes()
