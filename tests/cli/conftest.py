"""The command line in this process, and a model to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
import torch

from synth.artifacts import Draft, ImageInfo, Metric, Store
from synth.cli import main


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


class Run(Protocol):
    def __call__(self, *words: str) -> Outcome: ...


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """``run("models", "list")``: exit code, stdout and stderr of a command."""

    def call(*words: str) -> Outcome:
        code = main(words)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def store() -> Store:
    """The default store with ``cats@1`` and ``cats@2`` in it."""
    store = Store()
    draft = Draft(
        family="vae",
        network={"width": 8},
        image=ImageInfo(channels=1, height=8, width=12),
        classes=["cat", "dog"],
        weights={"layer": torch.ones(3)},
        parameters=3,
        recipe={"seed": 0},
        source="photos",
        images=1_234,
        images_seen=5_000,
        seconds=2.0,
        ids=["ab" * 32],
        class_counts=[1_000, 234],
        pixel_mean=[0.5],
        pixel_std=[0.1],
        metrics={"loss": Metric(value=0.25, how="mean over 3 held-out images")},
    )
    store.publish(draft, "cats")
    store.publish(draft, "cats")
    return store


@pytest.fixture
def source(tiny, tmp_path: Path) -> Path:
    """40 grey images of 8 x 8, in two classes."""
    return tiny.source(tmp_path / "toys.npz")
