"""What the server does with models that make images from images alone."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from synth.sampling import Sampler
from tests import translators
from tests.serving.test_translations import problem

URL = "/v1/images/translations"


@pytest.fixture(autouse=True)
def tint(store):
    with translators.known():
        yield translators.publish(store)


@pytest.fixture
def client(serve) -> TestClient:
    return serve(lambda artifact: Sampler(artifact, device="cpu", precision="32", warmup_seconds=0))


def test_images_from_nothing_are_refused_with_the_way_to_translations(client):
    for answer in (client.post("/v1/images/generations", json={}), client.get("/v1/stream?model=tint")):
        assert "POST /v1/images/translations" in problem(answer, 422)["detail"]
    assert (
        "makes images from images"
        in problem(client.post("/v1/images/generations", json={"model": "tint"}), 422)["detail"]
    )


def test_models_and_the_welcome_page_tell_what_it_can(client, publish, store):
    assert client.get("/v1/models/tint").json()["operations"] == ["translate"]
    page = client.get("/").text
    assert "tint@1: tint, 16 x 16, RGB, makes images from images" in page
    assert "-F model=tint -F images=@photo.png" in page
    assert "/v1/images/generations" not in page
    publish(store, "pets")
    assert client.get("/v1/models/pets").json()["operations"] == ["generate", "translate"]
    assert "/v1/images/generations" in client.get("/").text
