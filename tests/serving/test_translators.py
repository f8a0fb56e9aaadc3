"""What the server does with models that make images from images alone."""

from __future__ import annotations

import base64
import io
import multiprocessing
import pickle
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

from synth.batch import PICTURES
from synth.pixels import content_id
from synth.sampling import Sampler
from synth.serving.computing import Computer
from synth.serving.messages import Open, Run, Style
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


def png(height: int, width: int, seed: int = 0, **options: object) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def uploads(*images: bytes, field: str = "images") -> list[tuple[str, tuple[str, bytes]]]:
    return [(field, (f"{number}.png", content)) for number, content in enumerate(images)]


def array(content: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(content)))


SIZES = [(20, 30), (17, 9), (20, 30), (16, 16), (40, 8), (17, 9)]
ASKED = {"seed": "7", "start": "5", "mode": "exact"}


@pytest.fixture
def sampler(tint) -> Sampler:
    return Sampler(tint, device="cpu", precision="32", warmup_seconds=0)


class TestSizes:
    @pytest.mark.parametrize("form", ["json", "tar", "multipart"])
    def test_images_of_any_sizes_come_back_in_order_and_in_their_own(self, client, sampler, form):
        images = [png(*size, seed=number) for number, size in enumerate(SIZES)]
        answer = client.post(URL, files=uploads(*images), data={**ASKED, "format": form})
        assert answer.status_code == 200, answer.text
        assert answer.headers["X-Synth-Shape"] == "6,*,*,3"
        if form == "json":
            assert answer.json()["shape"] == [6, None, None, 3]
            assert [item["index"] for item in answer.json()["data"]] == [5, 6, 7, 8, 9, 10]
            made = [base64.b64decode(item["b64_png"]) for item in answer.json()["data"]]
        elif form == "tar":
            with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
                names = [name for name in tar.getnames() if name.endswith(".png")]
                assert names == sorted(names)
                made = [tar.extractfile(name).read() for name in names]
        else:
            made = [b"\x89PNG" + part for part in answer.content.split(b"\x89PNG")[1:]]
        assert len(made) == len(SIZES)
        for number, (given, content) in enumerate(zip(images, made, strict=True)):
            alone = sampler.translate(array(given)[None], seed=7, start=5 + number, mode="exact")
            assert np.array_equal(array(content), alone.numpy()[0])

    def test_images_of_one_size_come_in_every_form(self, client, sampler):
        images = [png(19, 23, seed=number) for number in range(3)]
        answer = client.post(URL, files=uploads(*images), data={**ASKED, "format": "raw"})
        assert answer.headers["X-Synth-Shape"] == "3,19,23,3"
        expected = sampler.translate(np.stack([array(one) for one in images]), seed=7, start=5, mode="exact")
        assert answer.content == expected.numpy().tobytes()

    def test_an_array_of_several_sizes_and_images_too_small_are_refused(self, client):
        two = uploads(png(20, 30), png(9, 9))
        for form in ("raw", "npz"):
            detail = problem(client.post(URL, files=two, data={"format": form}), 422)["detail"]
            assert f"as 9 x 9 and 20 x 30, and the format {form} holds images of one" in detail
        fitted = client.post(URL, files=two, data={"format": "raw", "fit": "resize"})
        assert fitted.headers["X-Synth-Shape"] == "2,16,16,3"
        answer = problem(client.post(URL, files=uploads(png(20, 20), png(7, 30))), 422)
        assert answer["errors"][0]["pointer"] == "/images/1"
        assert "is 7 x 30, and sides from 8 pixels on are taken" in answer["detail"]

    def test_memory_is_counted_by_the_sizes_that_there_are(self, store, serve):
        client = serve(
            lambda artifact: Sampler(artifact, device="cpu", precision="32", warmup_seconds=0),
            max_response_bytes=3 * 50 * 50,
        )
        assert client.post(URL, files=uploads(png(49, 50))).status_code == 200
        assert (
            "more than one answer may have"
            in problem(client.post(URL, files=uploads(png(51, 50))), 413)["detail"]
        )
        assert problem(client.post(URL, files=uploads(png(40, 50), png(30, 20))), 413)

    def test_nothing_is_kept_of_a_request_of_many_sizes(self, client):
        images = [png(8 + number, 20, seed=number) for number in range(40)]
        assert client.post(URL, files=uploads(*images), data={"format": "tar"}).status_code == 200
        services = client.app.state.services
        assert services.memory.used == 0
        assert services.engine.waiting_requests == 0


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


class TestOddFiles:
    """Of every kind one: it is made right, or refused with its number and what is wrong with it."""

    PIXELS = np.random.default_rng(5).integers(0, 256, (12, 14, 3), dtype=np.uint8)

    @pytest.mark.parametrize("kind", ["cmyk", "sixteen", "palette", "grey and transparent", "on its side"])
    def test_what_can_be_made_right_is(self, client, kind):
        image = Image.fromarray(self.PIXELS)
        exif = Image.Exif()
        exif[0x0112] = 6
        palette = image.convert("P")
        content, expected = {
            "cmyk": (saved(image.convert("CMYK"), "JPEG", quality=100), self.PIXELS),
            "sixteen": (
                saved(Image.fromarray(self.PIXELS[..., 0].astype(np.uint16) * 257)),
                self.PIXELS[..., [0, 0, 0]],
            ),
            "palette": (
                saved(palette, transparency=palette.getpixel((3, 2))),
                np.where(
                    (np.array(palette) == palette.getpixel((3, 2)))[..., None],
                    255,
                    np.array(palette.convert("RGB")),
                ),
            ),
            "grey and transparent": (
                saved(Image.fromarray(np.full((12, 14, 2), (100, 0), np.uint8), "LA")),
                np.full((12, 14, 3), 255),
            ),
            "on its side": (saved(image, exif=exif), np.rot90(self.PIXELS, -1)),
        }[kind]
        answer = client.post(URL, files=uploads(content), data={"parameters": '{"strength": 0}'})
        assert answer.status_code == 200, answer.text
        made = array(answer.content)
        assert made.shape == expected.shape
        most = 60 if kind == "cmyk" else 1  # JPEG halves the resolution of colours
        assert np.abs(made.astype(int) - expected).max() <= most

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"", "is empty (0 bytes)"),
            (b"hello", "is not an image (JPEG, PNG, WEBP)"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not an image"),
            (png(20, 20)[:200], "is damaged or cut short"),
            (saved(Image.new("RGB", (20, 20)), "GIF"), "is not an image (JPEG, PNG, WEBP)"),
            (
                saved(
                    Image.new("RGB", (9, 9)), save_all=True, append_images=[Image.new("RGB", (9, 9), "red")]
                ),
                "holds several frames",
            ),
            (saved(Image.new("L", (5_000, 5_000))), "5000 x 5000 pixels, above the limit of 16.8 million"),
        ],
    )
    def test_what_cannot_is_refused_by_number_and_the_others_are_not_made(self, client, content, says):
        answer = problem(client.post(URL, files=uploads(png(20, 20), content)), 422)
        assert answer["errors"][0]["pointer"] == "/images/1"
        assert says in answer["errors"][0]["detail"]


class TestPictures:
    def test_pictures_are_files_and_recorded_by_their_content(self, client, sampler):
        picture, image = png(8, 9, seed=3), png(20, 20)
        files = [*uploads(image), *uploads(picture, field="style")]
        answer = client.post(
            URL, files=files, data={**ASKED, "format": "json", "parameters": '{"strength": 0.5}'}
        )
        assert answer.status_code == 200, answer.text
        parameters = answer.json()["parameters"]
        assert parameters["style"] == PICTURES + content_id(array(picture))
        expected = sampler.translate(
            array(image)[None], seed=7, start=5, mode="exact", style=array(picture), strength=0.5
        )
        made = array(base64.b64decode(answer.json()["data"][0]["b64_png"]))
        assert np.array_equal(made, expected.numpy()[0])
        assert not np.array_equal(made, array(client.post(URL, files=uploads(image), data=ASKED).content))

    def test_what_is_no_picture_or_not_wanted_is_refused(self, client, publish, store):
        image = uploads(png(20, 20))
        broken = problem(client.post(URL, files=[*image, *uploads(b"text", field="style")]), 422)
        assert broken["errors"][0]["pointer"] == "/style/0"
        many = problem(client.post(URL, files=[*image, *uploads(*[png(8, 8)] * 4, field="style")]), 422)
        assert "style takes 1 to 3 pictures; 4 were given" in many["detail"]
        as_text = client.post(URL, files=image, data={"parameters": '{"style": "photo.png"}'})
        assert "files in the form field style over HTTP" in problem(as_text, 422)["detail"]
        sent = problem(client.post(URL, files=image, data={"style": "photo.png"}), 422)
        assert "curl -F style=@photo.png" in sent["detail"]

    def test_the_description_tells_of_them(self, client):
        described = client.get("/openapi.json").json()["paths"][URL]["post"]
        form = described["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert form["properties"]["style"]["items"]["format"] == "binary"
        assert client.post(URL, files=uploads(png(9, 9))).status_code == 200
        (style,) = [
            one for one in client.get("/v1/models/tint").json()["parameters"] if one["name"] == "style"
        ]
        assert (style["kind"], style["most_pictures"]) == ("pictures", 3)


def test_labels_that_may_drift_are_refused_or_allowed(client):
    image = uploads(png(20, 20))
    refused = problem(client.post(URL, files=image, data={"labels": "cat"}), 422)
    assert "its label_preservation was never measured" in refused["detail"]
    allowed = client.post(URL, files=image, data={"labels": "cat", "allow_label_drift": "true"})
    assert "trained without labels" in problem(allowed, 422)["detail"]
    unclear = problem(client.post(URL, files=image, data={"allow_label_drift": "perhaps"}), 422)
    assert unclear["errors"][0]["pointer"] == "/allow_label_drift"


def test_processes_that_compute_take_any_size_and_pictures(tint, serve, sampler, monkeypatch):
    """The table of families of such a process has no tint, so that one of this process stands for it."""
    connection, other = multiprocessing.Pipe()
    computer = Computer(other)
    handle = (str(tint.path), tint.manifest.digest)
    opened = computer._answer(Open(handle, "32"))
    assert opened.traits.resizing == sampler.traits.resizing
    picture = np.full((5, 5, 1), 200, np.uint8)
    style = computer._answer(Style(handle, [picture], {"strength": 1.0, "direction": "a_to_b", "style": ""}))
    assert torch.equal(torch.from_numpy(style.pixels), sampler.style([picture], {}))
    work = sampler.plan(None, labels=None, images=torch.zeros((2, 3, 9, 30), dtype=torch.uint8))
    made = computer._answer(pickle.loads(pickle.dumps(Run.of(handle, work.rows, work.mode, work.parameters))))
    assert made.pixels.shape == (2, 3, 9, 30)
    connection.close()
    other.close()
