"""docs/detection.md: what it shows works, from the folder that it makes on."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from synth import open_source
from synth.cli import main

PAGE = Path(__file__).parents[1] / "docs" / "detection.md"


def test_its_blocks_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "sh", "python"]
    for number, (kind, block) in enumerate(blocks):
        if kind == "sh":
            for line in block.strip().split("\n"):
                assert main(line.split("#")[0].split()[1:]) == 0, line
        else:
            (tmp_path / f"{number}.py").write_text(block)
            names = runpy.run_path(f"{number}.py")
    assert [len(one) for one in names["boxes"]] == [2, 2, 2, 2]
    assert names["masks"][0].shape[1:] == (96, 128)
    kinds = [open_source(name).info.kind for name in ("augmented", "for-yolo", "for-voc", "more")]
    assert kinds == ["coco", "yolo", "voc", "coco"]
