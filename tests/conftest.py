"""What every test gets: a SYNTH_HOME of its own, and no more threads than it needs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def synth_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SYNTH_HOME that does not exist yet, so that no test sees or touches the user's models."""
    home = tmp_path / "synth-home"
    monkeypatch.setenv("SYNTH_HOME", str(home))
    monkeypatch.delenv("SYNTH_DEBUG", raising=False)
    return home


@pytest.fixture(autouse=True, scope="session")
def _few_threads() -> None:
    torch.set_num_threads(2)
