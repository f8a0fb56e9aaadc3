"""A store with small artifacts, and servers whose generators are pure functions of keys."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
import uvicorn
from starlette.testclient import TestClient
from torch import Tensor

from synth.artifacts import Artifact, Draft, ImageInfo, ModelCard, Store
from synth.batch import Batch, Fingerprint
from synth.errors import UsageError
from synth.labels import resolve_labels
from synth.models.program import Parameter
from synth.randomness import bits
from synth.sampling.requests import check_parameters
from synth.sampling.rows import Rows, Work
from synth.serving import ServerSettings, create_app
from synth.serving.protocol import configure
from synth.serving.server import bind

CLASSES = ["cat", "dog", "owl"]


class FakeGenerator:
    """Random pixels by key, brighter with the class; ``before`` is called first, on the engine's thread."""

    memory_bytes = 1000
    any_size = False
    concurrent = False
    parameters = (Parameter("temperature", 1.0, 0.0, 10.0, "how wild"),)

    def __init__(self, artifact: Artifact, before: Callable[[], object] = lambda: None) -> None:
        artifact.weights()  # a damaged artifact shows itself as it does to the real one
        self.card: ModelCard = artifact.card
        self._before = before

    def plan(self, count, *, labels, seed, start, mode, images, parameters) -> Work:
        values = check_parameters(self.card, self.parameters, parameters)
        if images is not None:
            raise UsageError(f"{self.card.reference} makes images from nothing; it cannot translate.")
        index = torch.arange(count) + start
        numbers = resolve_labels(labels, classes=self.card.classes, index=index, seed=seed)
        return Work(Rows.of(seed, index, numbers), seed, mode, values)

    def run(self, rows, mode, parameters, *, wanted=None) -> Tensor:
        self._before()
        image = self.card.image
        pixels = bits(rows.seed, rows.index, 0, image.channels * image.height * image.width) % 200
        if rows.labels is not None:
            pixels = pixels + 10 * rows.labels[:, None]
        return pixels.to(torch.uint8).reshape(len(rows), image.channels, image.height, image.width)

    def batch(self, work: Work, pixels: Tensor) -> Batch:
        card = self.card
        return Batch(
            pixels,
            work.rows.labels,
            work.rows.index,
            work.seed,
            Fingerprint(card.reference, card.digest, torch.__version__, "cpu", "32", work.mode),
            classes=card.classes,
            parameters=work.parameters,
        )

    def cost(self, count, mode="fast", parameters=None, shape=None) -> float:
        return 0.0

    def best_bucket(self, mode="fast", shape=None) -> int:
        return 64

    def close(self) -> None:
        pass


class Gate:
    """Holds a generator back: it tells ``entered`` and then waits for ``open``."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self) -> None:
        self.entered.set()
        assert self.open.wait(30)


def make_artifact(
    store: Store,
    name: str,
    *,
    classes: list[str] | None = CLASSES,
    channels: int = 1,
    family: str = "vae",
) -> Artifact:
    """A next version of ``name`` with 4 x 6 images; each version has other weights."""
    draft = Draft(
        family=family,
        network={},
        image=ImageInfo(channels=channels, height=4, width=6),
        classes=classes,
        weights={"weight": torch.arange(8.0) + len(store.versions(name))},
        parameters=8,
        recipe={},
        source="photos",
        images=3,
        images_seen=30,
        seconds=1.0,
        ids=["00" * 32, "11" * 32, "22" * 32],
        class_counts=None if classes is None else [1] * len(classes),
        pixel_mean=[0.5] * channels,
        pixel_std=[0.2] * channels,
    )
    return store.publish(draft, name)


def basics(store: Store) -> dict[str, object]:
    """Settings of the servers in tests, which load a model when they are asked for it."""
    return {"store": store.root, "keys": store.root / "keys.json", "preload": ""}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def pets(store: Store) -> Artifact:
    """The only model of the store: grey 4 x 6 images of three classes."""
    return make_artifact(store, "pets")


@pytest.fixture
def serve(store: Store) -> Iterator[Callable[..., TestClient]]:
    """Starts a server on the store and returns its client; settings are given by name."""
    with ExitStack() as running:

        def start(open_generator=FakeGenerator, **settings: object) -> TestClient:
            app = create_app(
                ServerSettings(**{**basics(store), **settings}),
                open_generator=open_generator,
            )
            return running.enter_context(
                TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
            )

        yield start


@pytest.fixture
def listen(store: Store) -> Iterator[Callable[..., str]]:
    """Starts a server on a real socket and returns its address; settings are given by name."""
    with ExitStack() as running:

        def start(open_generator=FakeGenerator, **settings: object) -> str:
            given = ServerSettings(**{**basics(store), "port": 0, **settings})
            listener = running.enter_context(bind(given))
            app = create_app(given, open_generator=open_generator)
            server = uvicorn.Server(configure(app))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            running.callback(thread.join)
            running.callback(setattr, server, "should_exit", True)
            return "http://{}:{}".format(*listener.getsockname())

        yield start


@pytest.fixture
def client(pets: Artifact, serve: Callable[..., TestClient]) -> TestClient:
    """A server that has the model pets."""
    return serve()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open.set()


@pytest.fixture
def publish() -> Callable[..., Artifact]:
    return make_artifact


@pytest.fixture
def fake_generator() -> type[FakeGenerator]:
    return FakeGenerator


@pytest.fixture
def play(store: Store, pets: Artifact) -> Callable[..., None]:
    """Runs a scenario, an async function, on a server's application."""

    def run(scenario, open_generator=FakeGenerator, **settings: object) -> None:
        values = {**basics(store), **settings}
        app = create_app(ServerSettings(**values), open_generator=open_generator)

        async def whole() -> None:
            async with asyncio.timeout(30), app.router.lifespan_context(app):
                await scenario(app)

        asyncio.run(whole())

    return run
