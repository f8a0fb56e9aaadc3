"""A store with one adopted pipeline of each kind."""

from __future__ import annotations

import shutil

import pytest

from synth.artifacts import Store
from synth.pipelines import adopt
from synth.sampling import Sampler
from tests.pipelines import tiny


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Folders of pipelines, by kind; not to be changed."""
    root = tmp_path_factory.mktemp("pipelines")
    return {kind: tiny.save(kind, root / kind) for kind in tiny.PIPELINES}


@pytest.fixture
def copied(saved, tmp_path):
    """``copied(kind)``: a folder that may be spoilt."""
    return lambda kind: shutil.copytree(saved[kind], tmp_path / "copy")


@pytest.fixture(scope="session")
def store(tmp_path_factory, saved):
    """The adopted ones; that for text has classes."""
    store = Store(tmp_path_factory.mktemp("adopted"))
    for kind, folder in saved.items():
        store.publish(
            adopt(folder, source=str(folder), classes=["cat", "dog"] if kind == "text" else None), kind
        )
    return store


@pytest.fixture(scope="session")
def samplers(store):
    """One sampler for each kind."""
    return {
        kind: Sampler(store.open(kind), device="cpu", precision="32", warmup_seconds=0)
        for kind in tiny.PIPELINES
    }
