from __future__ import annotations

import base64
import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

URL = "/v1/images/generations"
ASK = {"model": "pets", "count": 5, "labels": "balanced", "seed": 7, "start": 2}
LABELS = [2, 0, 1, 2, 0]


@pytest.fixture
def images(client) -> np.ndarray:
    """The same five images as raw pixels, [5, 4, 6, 1]."""
    answer = client.post(URL, json=ASK | {"format": "raw"})
    assert answer.status_code == 200
    shape = [int(size) for size in answer.headers["X-Synth-Shape"].split(",")]
    return np.frombuffer(answer.content, answer.headers["X-Synth-Dtype"]).reshape(shape)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))[..., None]


def test_raw_pixels_are_described_by_headers(client, images, pets):
    answer = client.post(URL, json=ASK, headers={"Accept": "application/octet-stream"})
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert images.shape == (5, 4, 6, 1)
    expected = {
        "X-Synth-Model": "pets@1",
        "X-Synth-Digest": pets.card.digest,
        "X-Synth-Seed": "7",
        "X-Synth-Start": "2",
        "X-Synth-Labels": "2,0,1,2,0",
    }
    assert expected.items() <= {name.title(): value for name, value in answer.headers.items()}.items()
    assert json.loads(answer.headers["X-Synth-Fingerprint"])["mode"] == "fast"


def test_json_holds_pngs_with_their_keys(client, images):
    answer = client.post(URL, json=ASK, headers={"Accept": "application/json"}).json()
    assert answer["model"] == "pets@1"
    assert answer["shape"] == [5, 4, 6, 1]
    assert answer["parameters"] == {"temperature": 1.0}
    assert [item["label"] for item in answer["data"]] == LABELS
    assert [item["label_name"] for item in answer["data"]] == ["owl", "cat", "dog", "owl", "cat"]
    assert [(item["seed"], item["index"]) for item in answer["data"]] == [(7, index) for index in range(2, 7)]
    for item, image in zip(answer["data"], images, strict=True):
        np.testing.assert_array_equal(pixels(base64.b64decode(item["b64_png"])), image)


def test_tar_is_a_webdataset_shard(client, images):
    answer = client.post(URL, json=ASK, headers={"Accept": "application/x-tar"})
    assert answer.headers["Content-Type"] == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}
    keys = list(dict.fromkeys(name.partition(".")[0] for name in files))
    assert list(files)[:3] == [f"{keys[0]}.{kind}" for kind in ("png", "cls", "json")]
    for row, key in enumerate(keys):
        np.testing.assert_array_equal(pixels(files[f"{key}.png"]), images[row])
        record = json.loads(files[f"{key}.json"])
        assert (record["seed"], record["index"], record["label"]) == (7, row + 2, LABELS[row])
        assert files[f"{key}.cls"] == str(LABELS[row]).encode()


def test_npz_holds_arrays(client, images):
    answer = client.post(URL, json=ASK, headers={"Accept": "application/x-npz"})
    arrays = np.load(io.BytesIO(answer.content), allow_pickle=False)
    np.testing.assert_array_equal(arrays["images"], images)
    np.testing.assert_array_equal(arrays["labels"], LABELS)
    np.testing.assert_array_equal(arrays["index"], np.arange(2, 7))
    assert arrays["seed"] == 7
    assert arrays["class_names"].tolist() == ["cat", "dog", "owl"]


def test_png_holds_one_image_and_says_how_to_make_it_again(client, images):
    answer = client.post(URL, json=ASK | {"count": 1}, headers={"Accept": "image/png"})
    assert answer.headers["Content-Type"] == "image/png"
    np.testing.assert_array_equal(pixels(answer.content), images[0])
    text = Image.open(io.BytesIO(answer.content)).text
    assert (text["synth:seed"], text["synth:index"]) == ("7", "2")
    assert answer.headers["X-Synth-Labels"] == "2"


@pytest.mark.parametrize("form", ["json", "tar", "npz", "raw"])
def test_equal_requests_have_equal_answers(client, form):
    first, second = (client.post(URL, json=ASK | {"format": form}) for _ in range(2))
    assert first.content == second.content


def test_a_model_without_classes_tells_no_labels(store, serve, publish):
    publish(store, "clouds", classes=None, channels=3)
    client = serve()
    raw = client.post(URL, json={"count": 2, "format": "raw"})
    assert "X-Synth-Labels" not in raw.headers
    assert raw.headers["X-Synth-Shape"] == "2,4,6,3"
    data = client.post(URL, json={"count": 2, "format": "json"}).json()["data"]
    assert [item["label"] for item in data] == [None, None]
    assert "labels" not in np.load(io.BytesIO(client.post(URL, json={"format": "npz"}).content))


def test_long_label_lists_are_left_to_the_body_if_it_has_them(client):
    many = {"model": "pets", "count": 3000, "seed": 1}
    assert "X-Synth-Labels" not in client.post(URL, json=many | {"format": "npz"}).headers
    raw = client.post(URL, json=many | {"format": "raw"})
    assert len(raw.headers["X-Synth-Labels"].split(",")) == 3000
