"""Reporters that listen, and act."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import synth.training.loop


class Listener:
    """A Reporter that keeps the notes, and calls ``act`` once, after ``at`` images."""

    def __init__(self, at: int | None = None, act: Callable[[], object] = lambda: None) -> None:
        self.notes: list[str] = []
        self.seen: list[int] = []
        self._at, self._act = at, act

    def note(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, share: float, images_seen: int, seconds: float, figures: Mapping[str, float]) -> None:
        self.seen.append(images_seen)
        if self._at is not None and images_seen >= self._at:
            self._at = None
            self._act()


@pytest.fixture
def listen(monkeypatch: pytest.MonkeyPatch) -> type[Listener]:
    """The type of a reporter that is told of each step."""
    monkeypatch.setattr(synth.training.loop, "_SECONDS_BETWEEN_REPORTS", 0.0)
    return Listener


@pytest.fixture
def source(tiny, tmp_path: Path) -> Path:
    """40 grey images of 8 x 8, in two classes."""
    return tiny.source(tmp_path / "toys.npz")
