from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SHARED = Path(__file__).parents[2].parent / "shared" / "data"

Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """``save("cat/1.png", seed, size=(H, W), channels=C)``: a picture of noise below tmp_path."""

    def save_noise(name: str, seed: int = 0, *, size: tuple[int, int] = (8, 8), channels: int = 3) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (*size, channels), dtype=np.uint8)
        Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(path)
        return path

    return save_noise


@pytest.fixture
def shared(request: pytest.FixtureRequest) -> Path:
    """A folder of real data beside the checkout; skips by name where it is missing."""
    folder = SHARED / request.param
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    return folder


@pytest.fixture(scope="session")
def read_png() -> Iterator[Callable[[bytes], Any]]:
    """``read_png`` of ``strict_png.py`` beside this file."""
    spec = importlib.util.spec_from_file_location("strict_png", Path(__file__).with_name("strict_png.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up there.
    sys.modules["strict_png"] = module
    spec.loader.exec_module(module)
    yield module.read_png
    del sys.modules["strict_png"]
