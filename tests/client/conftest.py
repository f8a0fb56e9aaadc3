"""Servers on real sockets, with real models."""

from __future__ import annotations

import pytest

from synth.sampling import Sampler
from tests import translators
from tests.serving.conftest import listen as listen
from tests.serving.conftest import store as store


@pytest.fixture
def models(store, tiny):
    """Samplers by name, of ``toys`` (grey 8 x 8, two classes) and ``tint`` (a translator of RGB images)."""
    with translators.known():
        artifacts = {"toys": tiny.untrained(store), "tint": translators.publish(store, metrics={})}
        options = {"device": "cpu", "precision": "32", "warmup_seconds": 0}
        yield {name: Sampler(artifact, **options) for name, artifact in artifacts.items()}


@pytest.fixture
def address(models, listen):
    """Of a server that has them."""
    return listen(lambda artifact: models[artifact.manifest.name])
