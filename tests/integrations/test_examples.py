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


def run_examples(framework=""):
    """What those of one framework leave behind, after the imports that all share."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    names = {}
    for number, block in enumerate(blocks):
        own = re.search(r"integrations\.(keras|tensorflow) ", block)
        if number == 0 or framework == (own.group(1) if own else ""):
            exec(compile(block, str(PAGE), "exec"), names)
    return names


@pytest.mark.usefixtures("reader")
def test_the_examples_of_pytorch_run():
    names = run_examples()
    assert names["images"].shape[1:] == (1, 8, 8)
    assert names["state"]["epoch"] == 1


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed")
@pytest.mark.usefixtures("reader")
def test_the_examples_of_tensorflow_run():
    assert run_examples("tensorflow")["images"].shape[1:] == (8, 8, 1)
