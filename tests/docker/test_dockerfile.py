"""The Dockerfile and the script that runs its steps, without Docker and without a network."""

from __future__ import annotations

import fnmatch
import json
import runpy
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHECK = runpy.run_path(str(ROOT / "docker" / "check.py"))
STAGES = CHECK["read_stages"](ROOT / "docker" / "Dockerfile")


def test_everything_copied_exists_and_passes_the_ignore_file() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [line.removeprefix("!") for line in lines if line.startswith("!")]
    copied = [
        name
        for stage in STAGES.values()
        for source, names, _ in CHECK["copies"](stage)
        if not source
        for name in names
    ]
    assert "requirements.lock" in copied
    for name in copied:
        assert (ROOT / name).exists()
        assert any(fnmatch.fnmatch(name, pattern) for pattern in allowed)


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_a_target_serves_as_another_user_than_root(target: str) -> None:
    stages = CHECK["chain"](STAGES, target)
    assert [stage.name for stage in stages] == ["build", "cpu", "cuda"][: len(stages)]
    steps = [step for stage in stages for step in stage.steps]
    assert ("USER", "synth") in steps
    assert ("ENTRYPOINT", '["synth"]') in steps
    words = json.loads(stages[-1].last("CMD"))
    assert words[:4] == ["serve", "--host", "0.0.0.0", "--allow-remote"]
    assert any("--require-hashes -r requirements.lock" in rest for name, rest in steps if name == "RUN")


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_the_compose_files_build_targets_that_exist(name: str) -> None:
    server = yaml.safe_load((ROOT / "docker" / name).read_text())["services"]["server"]
    assert server["build"]["target"] in STAGES
    assert server["image"] == f"synth:{server['build']['target']}"
