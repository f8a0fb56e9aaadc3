"""Two generators, trained once: one with classes, one without."""

from __future__ import annotations

import pytest

from synth.artifacts import Artifact, Store
from synth.sampling import Sampler


@pytest.fixture(scope="session")
def artifacts(tiny, tmp_path_factory) -> dict[str, Artifact]:
    """``toys`` (grey, 8 x 12, kind0 to kind2) and ``plain`` (RGB, 8 x 8)."""
    folder = tmp_path_factory.mktemp("sampling")
    options = {"store": Store(folder / "store"), "runs": folder / "runs"}
    toys = tiny.source(folder / "toys.npz", size=(8, 12), classes=3)
    plain = tiny.source(folder / "plain.npz", channels=3, classes=0)
    return {
        "toys": tiny.fit(toys, name="toys", **options),
        "plain": tiny.fit(plain, name="plain", **options),
    }


@pytest.fixture(scope="session")
def toys(artifacts) -> Sampler:
    return Sampler(artifacts["toys"], device="cpu", precision="32")


@pytest.fixture(scope="session")
def plain(artifacts) -> Sampler:
    return Sampler(artifacts["plain"], device="cpu", precision="32")
