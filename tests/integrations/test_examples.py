"""The examples of docs/training-loops.md run, one after the other, as a reader would run them."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synth.artifacts import Store

PAGE = Path(__file__).parents[2] / "docs" / "training-loops.md"


@pytest.fixture
def reader(tmp_path, monkeypatch, tiny):
    """A folder with two classes of photos, a pipeline, and a model called clothes."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    for number, image in enumerate(pixels):
        path = tmp_path / "photos" / f"kind{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    (tmp_path / "pipeline.yaml").write_text("sample: [horizontal_flip, gaussian_noise]\nbatch: [mixup]\n")
    tiny.untrained(Store(), "clothes")


@pytest.mark.usefixtures("reader")
def test_the_examples_run():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) == 8
    names = {}
    for block in blocks:
        missing = [name for name in ("keras", "tensorflow") if f"integrations.{name} " in block]
        if all(importlib.util.find_spec(name) for name in missing):
            exec(compile(block, str(PAGE), "exec"), names)
    assert {"state", "images", "labels"} <= set(names)
    assert names["images"].dtype == np.uint8
