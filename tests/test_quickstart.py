"""docs/examples/quickstart.py: what make quickstart runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from synth.artifacts import Store

SCRIPT = Path(__file__).parents[1] / "docs" / "examples" / "quickstart.py"


def _quickstart(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--data", "digits", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_it_goes_from_real_images_to_a_batch_over_http_and_does_so_twice(tmp_path: Path) -> None:
    for version in (1, 2):
        done = _quickstart(tmp_path, "--minutes", "0.1")
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"$ synth generate quickstart@{version} " in done.stdout
    out = tmp_path / "quickstart"
    assert len(list((out / "data").glob("*/*.png"))) == 1_000
    with Image.open(out / "real-above-synthetic.png") as picture:
        assert min(picture.size) > 400
    assert Store().versions("quickstart") == [1, 2]


@pytest.mark.slow
def test_a_step_that_fails_stops_it_with_what_was_said(tmp_path: Path, synth_home: Path) -> None:
    synth_home.write_text("a file where the folder should be")
    done = _quickstart(tmp_path)
    assert done.returncode == 1
    assert "error: " in done.stderr
    assert "quickstart stopped: synth train ended with exit code" in done.stderr
    assert "synth generate" not in done.stdout
