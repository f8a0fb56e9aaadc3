"""The whole line: real images, a generator, data sets on disk, and a server, all with the same pixels."""

from __future__ import annotations

import base64
import io
import json
import tarfile

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from synth.cli import main
from synth.data import load_images, open_source
from synth.sampling import Sampler
from synth.serving import ServerSettings, create_app

COUNT, SEED, START = 20, 7, 30


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture)[..., None]


def test_every_way_out_gives_the_pixels_of_the_sampler(tiny, synth_home, tmp_path, capsys):
    device = ["--device", "cpu", "--precision", "32"]
    assert main(["train", "vae", "--data", "digits", "--name", "digits", *device, *tiny.flags()]) == 0
    assert capsys.readouterr().out == "digits@1\n"

    sampler = Sampler.open("digits", device="cpu", precision="32")
    batch = sampler.generate(COUNT, labels="balanced", seed=SEED, start=START)
    expected, labels = batch.numpy(), batch.labels.tolist()
    assert sampler.card.classes == tuple("0123456789")

    for form in ("imagefolder", "npz", "webdataset"):
        out = ["--out", str(tmp_path / form), "--format", form, "--labels", "balanced"]
        keys = ["--count", str(COUNT), "--seed", str(SEED), "--start", str(START)]
        assert main(["generate", "digits", *out, *keys, *device]) == 0
    for form in ("imagefolder", "npz"):
        read = load_images(open_source(tmp_path / form))
        # A folder of classes is read class by class; within one, by index.
        order = np.argsort(labels, kind="stable") if form == "imagefolder" else np.arange(COUNT)
        np.testing.assert_array_equal(read.images.permute(0, 2, 3, 1).numpy(), expected[order])
        assert read.labels.tolist() == [labels[row] for row in order]
        assert read.classes == sampler.card.classes

    settings = ServerSettings(store=synth_home / "store", device="cpu", precision="32")
    ask = {"model": "digits", "count": COUNT, "labels": "balanced", "seed": SEED, "start": START}
    with TestClient(create_app(settings), base_url="http://localhost") as client:

        def post(form: str, **changes: int) -> bytes:
            answer = client.post("/v1/images/generations", json={**ask, **changes, "format": form})
            assert answer.status_code == 200, answer.text
            return answer.content

        raw = np.frombuffer(post("raw"), np.uint8).reshape(expected.shape)
        arrays = np.load(io.BytesIO(post("npz")), allow_pickle=False)
        images = [pixels(base64.b64decode(item["b64_png"])) for item in json.loads(post("json"))["data"]]
        with tarfile.open(fileobj=io.BytesIO(post("tar"))) as tar:
            files = {member.name: tar.extractfile(member).read() for member in tar}
        with tarfile.open(next((tmp_path / "webdataset").glob("*.tar"))) as tar:
            stored = {member.name: tar.extractfile(member).read() for member in tar}
        one = pixels(post("png", count=1))
    np.testing.assert_array_equal(raw, expected)
    np.testing.assert_array_equal(arrays["images"], expected)
    assert arrays["labels"].tolist() == labels
    np.testing.assert_array_equal(images, expected)
    for members in (files, stored):
        shown = [pixels(data) for name, data in members.items() if name.endswith(".png")]
        np.testing.assert_array_equal(shown, expected)
    # A batch of another size: the tolerance of mode fast.
    np.testing.assert_allclose(one.astype(int), expected[0].astype(int), atol=1)
