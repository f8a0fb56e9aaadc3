"""A run is published once, whenever its process is killed."""

from __future__ import annotations

import pytest

import synth.artifacts.store
from synth.artifacts import Store
from synth.training.runs import Run, latest_run


class KilledError(BaseException):
    """As good as SIGKILL: nothing on the way catches it."""


@pytest.fixture
def kill(monkeypatch):
    """Ends the process once the artifact is there, just before the run says so."""

    def install(patch):
        whole = Run.update

        def update(self, **fields):
            if fields.get("artifact") is not None:
                raise KilledError
            whole(self, **fields)

        patch.setattr(Run, "update", update)

    return install


def test_a_run_killed_after_publishing_is_not_published_again(tiny, source, kill, monkeypatch):
    with monkeypatch.context() as patch:
        kill(patch)
        with pytest.raises(KilledError):
            tiny.fit(source)
    assert [entry.reference for entry in Store().list()] == ["toy@1"]
    assert tiny.fit(source, resume=True).manifest.reference == "toy@1"
    assert latest_run("toy").record()["artifact"] == "toy@1"
    assert [entry.reference for entry in Store().list()] == ["toy@1"]


def test_a_run_killed_before_publishing_is_published_though_another_took_its_number(
    tiny, source, monkeypatch
):
    def die(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(synth.artifacts.store, "publish_folder", die)
        with pytest.raises(KilledError):
            tiny.fit(source)
    assert latest_run("toy").record()["publishing"][0] == "toy@1"
    tiny.untrained(Store(), "toy")
    assert tiny.fit(source, resume=True).manifest.reference == "toy@2"


def test_a_killed_run_that_is_made_longer_is_another_model(tiny, source, kill, monkeypatch):
    with monkeypatch.context() as patch:
        kill(patch)
        with pytest.raises(KilledError):
            tiny.fit(source)
    longer = tiny.fit(source, resume=True, recipe=tiny.recipe(images_seen=128))
    assert longer.manifest.reference == "toy@2"
