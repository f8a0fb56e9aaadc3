from __future__ import annotations

import shutil

import pytest

URL = "/v1/images/generations"


@pytest.fixture
def damage():
    """Spoils the weights of an artifact without changing their size."""

    def spoil(artifact) -> None:
        path = artifact.path / artifact.manifest.weights.file
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)

    return spoil


def test_an_empty_store_has_no_models_and_is_ready(serve):
    client = serve()
    assert client.get("/v1/models").json() == {"models": []}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "models": 0, "damaged": 0})


def test_a_server_is_not_ready_while_models_are_loaded_that_it_is_to_have(client, monkeypatch):
    registry = client.app.state.services.registry
    cold = {"pets": "it is being loaded"}
    monkeypatch.setattr(type(registry), "cold", property(lambda self: cold))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert "pets: it is being loaded" in answer.json()["detail"]
    cold.clear()
    assert client.get("/readyz").status_code == 200


def test_a_server_is_ready_once_the_models_of_its_store_are_loaded(pets, serve, gate, fake_generator):
    client = serve(lambda artifact: (gate(), fake_generator(artifact))[1], preload="*")
    cold = client.get("/readyz")
    assert (cold.status_code, cold.json()["code"]) == (503, "overloaded")
    assert client.get("/livez").status_code == 200
    gate.open.set()
    while client.get("/readyz").status_code != 200:
        pass
    assert client.get("/v1/models/pets").json()["status"] == "loaded"


def test_models_are_told_with_their_latest_version(store, serve, publish):
    first, _, _ = publish(store, "pets"), publish(store, "pets"), publish(store, "clouds", classes=None)
    client = serve()
    clouds, pets = client.get("/v1/models").json()["models"]
    assert (clouds["reference"], clouds["classes"]) == ("clouds@1", None)
    assert (pets["reference"], pets["versions"], pets["status"]) == ("pets@2", [1, 2], "available")
    assert pets["classes"] == ["cat", "dog", "owl"]
    assert pets["image"] == {"channels": 1, "height": 4, "width": 6}
    assert client.get("/v1/models/pets").json() == pets
    assert client.get("/v1/models/pets/versions/1").json()["digest"] == first.card.digest


@pytest.mark.parametrize("path", ["pest", "pets@1", "pets/versions/9", "..%2Fpets"])
def test_unknown_models_and_versions_are_404(client, path):
    answer = client.get(f"/v1/models/{path}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_version_that_is_no_number_is_422(client):
    assert client.get("/v1/models/pets/versions/new").status_code == 422


def test_a_new_version_is_there_without_a_restart(pets, serve, store, publish):
    client = serve(watch_seconds=0.001)
    assert client.post(URL, json={"seed": 1}).headers["X-Synth-Model"] == "pets@1"
    publish(store, "pets")
    while client.post(URL, json={"seed": 1}).headers["X-Synth-Model"] != "pets@2":
        pass  # the old one serves until the new one is loaded
    assert client.get("/v1/models/pets").json()["serving"] == "pets@2"
    assert client.post(URL, json={"model": "pets@1"}).headers["X-Synth-Model"] == "pets@1"


def test_a_damaged_model_is_reported_and_does_not_hurt_the_others(store, serve, publish, damage):
    damage(publish(store, "pets"))
    publish(store, "birds")
    client = serve()
    answer = client.post(URL, json={"model": "pets"})
    assert (answer.status_code, answer.json()["code"]) == (503, "damaged-artifact")
    assert "weights.safetensors" in answer.json()["detail"]
    told = client.get("/v1/models/pets")
    assert (told.status_code, told.json()["status"]) == (200, "failed")
    assert "weights.safetensors" in told.json()["error"]
    assert client.post(URL, json={"model": "birds"}).status_code == 200
    assert client.get("/readyz").json() == {"status": "ready", "models": 1, "damaged": 1}


def test_a_model_without_a_manifest_is_reported(store, serve, publish):
    artifact = publish(store, "pets")
    (artifact.path / "manifest.json").unlink()
    client = serve()
    assert client.get("/v1/models").json()["models"][0]["status"] == "failed"
    assert client.post(URL, json={}).status_code == 503


def test_a_repaired_model_is_loaded(store, serve, publish, damage, tmp_path):
    artifact = publish(store, "pets")
    shutil.copytree(artifact.path, tmp_path / "copy")
    damage(artifact)
    client = serve()
    assert client.post(URL, json={}).status_code == 503
    shutil.copytree(tmp_path / "copy", artifact.path, dirs_exist_ok=True)
    assert client.post(URL, json={}).status_code == 200
    assert client.get("/v1/models/pets").json()["status"] == "loaded"


def test_the_welcome_page_names_the_models_and_loads_nothing(client):
    page = client.get("/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "pets@1" in page.text
    assert "http://localhost/v1/images/generations" in page.text
    assert "src=" not in page.text


def test_the_welcome_page_of_an_empty_store_says_how_to_make_a_model(serve):
    assert "synth train" in serve().get("/").text
