"""Images from images over HTTP, made by a real model."""

from __future__ import annotations

import base64
import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from synth.artifacts import Artifact, Store
from synth.families import FAMILIES
from synth.sampling import Sampler

URL = "/v1/images/translations"
PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def files(*images: np.ndarray) -> list[tuple[str, tuple[str, bytes]]]:
    return [("images", (f"{number}.png", png(pixels))) for number, pixels in enumerate(images)]


@pytest.fixture(scope="module")
def faces(tiny, tmp_path_factory) -> Artifact:
    """A real model, the only one of its store: grey images of 8 x 8 pixels and two classes."""
    folder = tmp_path_factory.mktemp("translations")
    source = tiny.source(folder / "faces.npz")
    return tiny.fit(source, name="faces", store=Store(folder / "store"), runs=folder / "runs")


@pytest.fixture
def sampler(faces) -> Sampler:
    return Sampler(faces, device="cpu", warmup_seconds=0)


@pytest.fixture
def client(faces, sampler, serve) -> TestClient:
    return serve(lambda artifact: sampler, store=faces.path.parents[1])


def problem(answer, status: int) -> dict[str, str]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.json()


def test_each_image_gives_what_the_sampler_makes_of_it(client, sampler):
    asked = {
        "model": "faces@1",
        "seed": "7",
        "start": "5",
        "mode": "exact",
        "labels": '["kind1", 0]',
        "parameters": '{"strength": 2}',
        "format": "json",
    }
    answer = client.post(URL, data=asked, files=files(PIXELS, 255 - PIXELS))
    assert answer.status_code == 200, answer.text
    expected = sampler.translate(
        np.stack([PIXELS, 255 - PIXELS])[..., None],
        labels=["kind1", "kind0"],
        seed=7,
        start=5,
        mode="exact",
        strength=2.0,
    )
    data = answer.json()["data"]
    assert [(item["seed"], item["index"], item["label"]) for item in data] == [(7, 5, 1), (7, 6, 0)]
    for item, pixels in zip(data, expected.images, strict=True):
        image = Image.open(io.BytesIO(base64.b64decode(item["b64_png"])))
        assert np.array_equal(np.array(image), pixels[0])


def test_the_answer_has_the_forms_of_a_generation(client):
    asked = {"labels": "kind1", "seed": "7"}
    answer = client.post(URL, files=files(PIXELS), data=asked)
    assert answer.headers["Content-Type"] == "image/png"
    bare = {"Accept": "application/octet-stream"}
    raw = client.post(URL, files=files(PIXELS, PIXELS), data=asked, headers=bare)
    assert raw.headers["X-Synth-Shape"] == "2,8,8,1"
    assert len(raw.content) == 128
    assert problem(client.post(URL, files=files(PIXELS), data={"format": "gif"}), 406)
    assert problem(client.post(URL, files=files(PIXELS, PIXELS), data={"format": "png"}), 422)


def test_images_of_another_size_are_fitted_if_that_is_asked_for(client):
    asked = {"labels": "1", "seed": "7", "mode": "exact", "format": "raw"}
    large = np.kron(PIXELS, np.ones((8, 8), np.uint8))
    assert "Send fit=resize" in problem(client.post(URL, files=files(large), data=asked), 422)["detail"]
    small = np.array(Image.fromarray(large).resize((8, 8), Image.Resampling.BICUBIC))
    fitted = client.post(URL, files=files(large), data=asked | {"fit": "resize"})
    assert fitted.content == client.post(URL, files=files(small), data=asked).content


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"seed": "-1"}, "/seed: Input should be greater than or equal to 0"),
        ({"seed": "1.0"}, "/seed: Input should be a valid integer, not '1.0'."),
        ({"seed": "9" * 5000}, "/seed: Input should be a valid integer"),
        ({"start": str(2**63 - 1)}, "/start: start + count must not exceed"),
        ({"mode": "slow"}, "/mode: Input should be 'fast' or 'exact', not 'slow'."),
        ({"fit": "crop"}, "/fit: Input should be 'resize', not 'crop'."),
        ({"labels": "[1, 2"}, "/labels: The text is not JSON ("),
        ({"labels": '{"kind0": -1}'}, "/labels: Labels are 'any', 'balanced'"),
        ({"labels": '{"kind0": 2}'}, "add up to 2, but 1 samples"),
        ({"parameters": "hot"}, "/parameters: The text is not JSON ("),
        ({"parameters": "[" * 100_000}, "/parameters: The text is not JSON ("),
        ({"parameters": '{"strength": true}'}, "/parameters/strength: A sampling parameter is a"),
        ({"parameters": '{"strength": NaN}'}, "/parameters/strength: A sampling parameter is a"),
        ({"parameters": '{"seed": 1}'}, "/parameters: 'seed' is no sampling parameter"),
        (
            {"labels": "0", "parameters": '{"strenght": 1}'},
            "'strenght' (did you mean 'strength'?)",
        ),
        ({"count": "2"}, "There is no field 'count'"),
        ({"modell": "faces"}, "There is no field 'modell' (did you mean 'model'?)"),
        ({"labels": "kind2"}, "There is no class 'kind2'"),
        ({"labels": '["kind0", "kind1"]'}, "2 labels were given for 1 samples"),
        ({}, "has classes; say with labels what the images show"),
    ],
)
def test_a_wrong_field_is_named_with_what_it_should_be(client, fields, says):
    assert says in problem(client.post(URL, data=fields, files=files(PIXELS)), 422)["detail"]


def test_there_must_be_an_image(client):
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = client.post(URL, content=b"--x--", headers=boundary)
    assert problem(answer, 422)["errors"][0]["pointer"] == "/images"
    assert "multipart/form-data" in problem(client.post(URL, json={"images": ["a.png"]}), 415)["detail"]


def test_a_model_that_cannot_translate_is_refused_with_those_that_can(pets, serve, monkeypatch):
    deaf = dataclasses.replace(FAMILIES["vae"], program="synth.models.program:Program")
    monkeypatch.setitem(FAMILIES, "vae", deaf)
    client = serve()
    answer = client.post(URL, files=files(PIXELS))
    assert "pets@1 is a vae" in problem(answer, 422)["detail"]
    assert "Models here that can: none." in answer.json()["detail"]
    assert problem(client.post(URL, files=files(PIXELS), data={"model": "pest"}), 404)


def test_more_images_than_an_answer_may_have_are_413(pets, serve):
    client = serve(max_response_bytes=2 * 24)
    assert "Ask for 2 at a time" in problem(client.post(URL, files=files(*[PIXELS] * 3)), 413)["detail"]


def test_uploads_may_be_longer_than_other_bodies_and_none_may_be_compressed(pets, serve):
    client = serve(max_body_bytes=1000, max_upload_bytes=5000)
    noise = np.random.default_rng(0).integers(0, 256, (40, 60), dtype=np.uint8)
    assert "Send fit=resize" in problem(client.post(URL, files=files(noise)), 422)["detail"]
    assert problem(client.post(URL, files=files(*[noise] * 3)), 413)
    assert problem(client.post("/v1/images/generations", json={"labels": "x" * 1000}), 413)
    gzip = {"Content-Encoding": "gzip"}
    squeezed = client.post("/v1/images/generations", content=b"\x1f\x8b", headers=gzip)
    assert "Send it without Content-Encoding" in problem(squeezed, 415)["detail"]


def test_the_description_tells_the_form(client):
    described = client.get("/openapi.json").json()["paths"][URL]["post"]
    form = described["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(form["properties"]) == {
        *("images", "model", "labels", "seed", "start", "mode", "format", "parameters", "fit"),
        *("style", "allow_label_drift"),
    }
    assert form["required"] == ["images"]
    assert "null" not in json.dumps(form)
    assert {"400", "408", "413", "415", "422", "503"} <= set(described["responses"])
