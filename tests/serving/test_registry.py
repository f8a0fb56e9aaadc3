from __future__ import annotations

import pytest

from synth.errors import ArtifactError, NotFoundError, UsageError
from synth.serving.registry import Registry


class Opener:
    """Opens artifacts as their references, and remembers which."""

    def __init__(self, fails: bool = False) -> None:
        self.opened: list[str] = []
        self.fails = fails

    def __call__(self, artifact) -> str:
        self.opened.append(artifact.manifest.reference)
        if self.fails:
            raise ArtifactError("damaged")
        return artifact.manifest.reference


def test_a_model_is_loaded_once_and_the_one_unused_for_longest_goes_first(store, publish):
    one, two, three = (publish(store, name) for name in ("one", "two", "three"))
    opener = Opener()
    registry = Registry(store, opener, max_loaded=2)
    for artifact in (one, two, one, three, one, two):
        assert registry.generator(artifact) == artifact.manifest.reference
    assert opener.opened == ["one@1", "two@1", "three@1", "two@1"]


def test_a_failed_load_is_tried_again_only_when_the_files_change(store, pets):
    opener = Opener(fails=True)
    registry = Registry(store, opener, max_loaded=2)
    for _ in range(2):
        with pytest.raises(ArtifactError, match="damaged"):
            registry.generator(pets)
    assert registry.entries("pets")[0].error == "damaged"
    assert len(opener.opened) == 1
    (pets.path / "preview.png").write_bytes(b"changed")
    opener.fails = False
    assert registry.generator(pets) == "pets@1"
    assert registry.entries("pets")[0].error is None


def test_the_only_model_need_not_be_named(store, publish):
    registry = Registry(store, Opener(), max_loaded=2)
    with pytest.raises(NotFoundError, match="synth train"):
        registry.find(None)
    publish(store, "one"), publish(store, "one")
    assert registry.find(None).manifest.reference == "one@2"
    publish(store, "two")
    with pytest.raises(UsageError, match="one, two"):
        registry.find(None)
