from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from synth.errors import ArtifactError, DeviceError, NotFoundError, UsageError
from synth.serving.engine import Engine
from synth.serving.registry import Registry
from synth.serving.residency import ModelBudgetError


class Opener:
    """Opens artifacts as samplers of 100 bytes, and remembers which; ``before`` is called first."""

    def __init__(self, before=lambda artifact: None) -> None:
        self.opened: list[str] = []
        self.before = before

    def __call__(self, artifact) -> SimpleNamespace:
        self.opened.append(artifact.manifest.reference)
        self.before(artifact)
        return SimpleNamespace(
            memory_bytes=100,
            any_size=False,
            parameters=(),
            reference=artifact.manifest.reference,
            close=lambda: None,
        )


@asynccontextmanager
async def open_registry(store, opener, **options) -> AsyncIterator[Registry]:
    """A registry on an engine, without a watch of its own."""
    engine = Engine(queue_limit=1)
    engine.start()
    registry = Registry(store, opener, engine.call, **{"max_bytes": 250, **options})
    async with asyncio.timeout(30):
        yield registry
        await registry.stop()
        await engine.shut_down(10)


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0)


async def asked(registry: Registry, reference: str | None) -> str:
    with await registry.lease(reference) as lease:
        return lease.sampler.reference


def test_a_model_is_loaded_once_for_all_who_wait_and_the_one_unused_for_longest_goes_first(store, publish):
    for name in ("one", "two", "three"):
        publish(store, name)
    opener = Opener()

    async def scenario() -> None:
        async with open_registry(store, opener) as registry:
            together = await asyncio.gather(*(asked(registry, "one") for _ in range(5)))
            assert together == ["one@1"] * 5
            for name in ("two", "one", "three", "one", "two"):
                assert await asked(registry, name) == f"{name}@1"

    asyncio.run(scenario())
    assert opener.opened == ["one@1", "two@1", "three@1", "two@1"]


def test_a_model_in_use_is_never_evicted(store, publish):
    for name in ("one", "two", "three"):
        publish(store, name)

    async def scenario() -> None:
        async with open_registry(store, Opener()) as registry:
            with await registry.lease("one"), await registry.lease("two"):
                with pytest.raises(ModelBudgetError, match="SYNTH_MAX_MODEL_BYTES"):
                    await registry.lease("three")
                [entry] = registry.entries("three")
                assert registry.state(entry).status == "available"
                assert await asked(registry, "one") == "one@1"
            assert await asked(registry, "three") == "three@1"

    asyncio.run(scenario())


def test_a_new_version_is_warm_before_it_serves_and_the_old_one_stays_for_those_who_use_it(
    store, pets, publish, gate
):
    opener = Opener(lambda artifact: gate() if artifact.manifest.version == 2 else None)

    async def scenario() -> None:
        async with open_registry(store, opener) as registry:
            old = await registry.lease("pets")
            publish(store, "pets")
            await registry.refresh()
            await asyncio.to_thread(gate.entered.wait, 30)
            assert await asked(registry, "pets") == "pets@1"
            assert registry.serving("pets") == "pets@1"
            states = [registry.state(entry).status for entry in registry.entries("pets")]
            assert states == ["loaded", "loading"]
            gate.open.set()
            await until(lambda: registry.serving("pets") == "pets@2")
            assert await asked(registry, "pets") == "pets@2"
            assert old.sampler.reference == "pets@1"
            first = registry.entries("pets")[0]
            assert registry.state(first).status == "available"  # not for new ones
            old.close()

    asyncio.run(scenario())


def test_a_new_version_that_cannot_be_loaded_leaves_the_old_one_serving(store, pets, publish):
    def fail(artifact) -> None:
        if artifact.manifest.version == 2:
            raise ArtifactError("pets@2 is damaged")

    opener = Opener(fail)

    async def scenario() -> None:
        async with open_registry(store, opener) as registry:
            assert await asked(registry, "pets") == "pets@1"
            publish(store, "pets")
            for _ in range(3):
                await registry.refresh()
                await until(lambda: not registry._replacing)
            assert await asked(registry, "pets") == "pets@1"
            assert [entry.error for entry in registry.entries("pets")] == [None, "pets@2 is damaged"]
            with pytest.raises(ArtifactError, match="pets@2 is damaged"):
                await registry.lease("pets@2")

    asyncio.run(scenario())
    assert opener.opened == ["pets@1", "pets@2"]


def test_a_version_that_was_asked_for_by_its_number_is_kept(store, pets, publish):
    opener = Opener()

    async def scenario() -> None:
        async with open_registry(store, opener) as registry:
            assert await asked(registry, "pets") == await asked(registry, "pets@1")
            publish(store, "pets")
            await registry.refresh()
            await until(lambda: registry.serving("pets") == "pets@2")
            assert await asked(registry, "pets@1") == "pets@1"

    asyncio.run(scenario())
    assert opener.opened == ["pets@1", "pets@2"]


def test_an_alias_moves_with_the_store_and_its_models_are_kept(store, pets, publish):
    publish(store, "pets")
    store.set_alias("pets@1", "stable")

    async def scenario() -> None:
        async with open_registry(store, Opener()) as registry:
            assert await asked(registry, "pets@stable") == "pets@1"
            assert await asked(registry, "pets") == "pets@2"
            assert registry.state(registry.entries("pets")[0]).aliases == ("stable",)
            store.set_alias("pets@2", "stable")
            await registry.refresh()
            await until(lambda: registry.serving("pets@stable") == "pets@2")
            assert await asked(registry, "pets@stable") == "pets@2"
            with pytest.raises(NotFoundError, match="no alias 'stabel'"):
                await registry.lease("pets@stabel")

    asyncio.run(scenario())


def test_a_failed_load_is_tried_again_only_when_the_files_change(store, pets):
    def fail(artifact) -> None:
        raise ArtifactError("damaged")

    opener = Opener(fail)

    async def scenario() -> None:
        async with open_registry(store, opener) as registry:
            for _ in range(2):
                with pytest.raises(ArtifactError, match="damaged"):
                    await registry.lease("pets")
            entry = registry.entries("pets")[0]
            assert (entry.error, registry.state(entry).status) == ("damaged", "failed")
            assert len(opener.opened) == 1
            (pets.path / "preview.png").write_bytes(b"changed")
            opener.before = lambda artifact: None
            assert await asked(registry, "pets") == "pets@1"
            assert registry.entries("pets")[0].error is None

    asyncio.run(scenario())


def test_a_device_in_trouble_is_not_the_models_fault_but_is_not_asked_at_each_request(store, pets):
    def fail(artifact) -> None:
        raise DeviceError("no memory")

    opener = Opener(fail)

    async def scenario() -> None:
        async with open_registry(store, opener) as registry:
            with pytest.raises(DeviceError, match="no memory"):
                await registry.lease("pets")
            with pytest.raises(ArtifactError, match="no memory"):
                await registry.lease("pets")

    asyncio.run(scenario())
    assert len(opener.opened) == 1


def test_a_model_that_was_removed_is_let_go_of(store, pets):
    async def scenario() -> None:
        async with open_registry(store, Opener()) as registry:
            lease = await registry.lease("pets")
            store.remove("pets@1")
            await registry.refresh()
            with pytest.raises(NotFoundError):
                await registry.lease("pets")
            assert lease.sampler.reference == "pets@1"
            lease.close()

    asyncio.run(scenario())


def test_what_is_preloaded_is_cold_until_it_is_loaded(store, publish):
    opener = Opener()

    async def scenario() -> None:
        async with open_registry(store, opener, preload=["pets"], watch_seconds=0.001) as registry:
            assert list(registry.cold) == ["pets"]
            registry.start()
            await until(lambda: "There is no model 'pets'" in registry.cold.get("pets", ""))
            publish(store, "pets")
            await until(lambda: not registry.cold)
            assert opener.opened == ["pets@1"]

    asyncio.run(scenario())


def test_all_models_are_preloaded_as_far_as_they_can_be(store, publish, caplog):
    def fail(artifact) -> None:
        if artifact.manifest.name == "damaged":
            raise ArtifactError("it is damaged")

    for name in ("damaged", "one", "two", "three"):
        publish(store, name)
    publish(store, "one")
    opener = Opener(fail)

    async def scenario() -> None:
        async with open_registry(store, opener, preload=["*"], watch_seconds=0.001) as registry:
            assert registry.cold
            registry.start()
            await until(lambda: not registry.cold)
            assert sorted(registry.loaded) == ["one@2", "three@1"]
            assert await asked(registry, "one") == "one@2"

    asyncio.run(scenario())
    assert opener.opened == ["damaged@1", "one@2", "three@1"]  # two does not fit, and drives nobody out
    assert "damaged@1 was not loaded at the start: it is damaged" in caplog.text


def test_the_only_model_need_not_be_named(store, publish):
    async def scenario() -> None:
        async with open_registry(store, Opener()) as registry:
            with pytest.raises(NotFoundError, match="synth train"):
                await registry.lease(None)
            publish(store, "one"), publish(store, "one")
            assert await asked(registry, None) == "one@2"
            publish(store, "two")
            await registry.refresh()
            with pytest.raises(UsageError, match="one, two"):
                await registry.lease(None)

    asyncio.run(scenario())


def test_a_store_that_cannot_be_looked_at_for_a_while_goes_on_serving(store, pets, caplog):
    async def scenario() -> None:
        async with open_registry(store, Opener(), watch_seconds=0.001) as registry:
            registry.start()
            assert await asked(registry, "pets") == "pets@1"
            hidden = store.root.with_name("hidden")
            shutil.move(store.root, hidden)
            store.root.write_text("in the way")
            await until(lambda: "cannot be watched" in caplog.text)
            store.root.unlink()
            shutil.move(hidden, store.root)
            await registry.refresh()
            assert await asked(registry, "pets") == "pets@1"

    asyncio.run(scenario())


def test_an_encoder_is_listed_but_never_loaded_nor_meant_by_no_name(store, publish):
    publish(store, "one")
    publish(store, "features", family="encoder")
    opener = Opener()

    async def scenario() -> None:
        async with open_registry(store, opener, preload=["*"]) as registry:
            registry.start()
            await until(lambda: not registry.cold)
            assert [entry.reference for entry in registry.entries()] == ["features@1", "one@1"]
            assert await asked(registry, None) == "one@1"
            for ask in (registry.lease("features"), registry.lease("features@1")):
                with pytest.raises(UsageError, match=r"features@1 is an encoder: .* makes none"):
                    await ask
            with pytest.raises(UsageError, match="is an encoder"):
                registry.find("features")

    asyncio.run(scenario())
    assert opener.opened == ["one@1"]


def test_a_generator_goes_on_serving_when_an_encoder_is_published_under_its_name(store, publish):
    publish(store, "one")
    opener = Opener()

    async def scenario() -> None:
        async with open_registry(store, opener) as registry:
            assert await asked(registry, "one") == "one@1"
            publish(store, "one", family="encoder")
            await registry.refresh()
            assert await asked(registry, "one") == "one@1"

    asyncio.run(scenario())
    assert opener.opened == ["one@1"]
