"""Images changed by pipelines over HTTP: the same as in training, whatever the form and whoever else asks."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import tarfile

import httpx2
import numpy as np
import pytest
import torch
from PIL import Image

from synth.augment import Partners, Pipeline, Samples
from synth.data import open_source
from synth.integrations.torch import as_torch

URL = "/v1/images/augmentations"
PIPELINE = {
    "sample": [
        {"operation": "crop", "padding": 2, "edge": "reflect"},
        "horizontal_flip",
        {"operation": "rotate", "probability": 0.7},
        {"one_of": ["gaussian_noise", "brightness", {"operation": "blur", "sigma": [0.5, 1]}]},
    ]
}
MIXING = {"sample": ["horizontal_flip"], "batch": ["cutmix", {"operation": "mixup", "probability": 0.5}]}
RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (6, 9, 12, 3), dtype=np.uint8)
GREY = RANDOM.integers(0, 256, (3, 8, 8), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def files(*images: np.ndarray) -> list[tuple[str, tuple[str, bytes]]]:
    return [("images", (f"{number}.png", png(pixels))) for number, pixels in enumerate(images)]


def asked(pipeline=PIPELINE, **fields: object) -> dict[str, str]:
    texts = {"pipeline": pipeline, "seed": 7, **fields}
    return {name: one if isinstance(one, str) else json.dumps(one) for name, one in texts.items()}


def local(images: np.ndarray, ids, epoch: int = 0, pipeline=PIPELINE) -> np.ndarray:
    batch = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    made = Pipeline.read(pipeline, seed=7).run(Samples(batch, tuple(ids)), epoch).images
    return made.permute(0, 2, 3, 1).numpy()


def read_png(content: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(content)))


def problem(answer, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.json()["detail"]


@pytest.fixture
def client(pets, serve):
    return serve()


def test_a_source_gives_what_as_torch_gives_in_every_epoch(listen, pets, tmp_path):
    """Several sizes, grey and colour, in one request, on a real socket."""
    images = [*COLOUR[:3], *GREY, np.repeat(GREY[0, :, :5, None], 3, axis=2), COLOUR[4, :3, :2]]
    for number, pixels in enumerate(images):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    dataset = as_torch(open_source(str(tmp_path / "photos")), Pipeline.read(PIPELINE, seed=7))
    answer = httpx2.post(
        listen() + URL, data=asked(epoch=2, copies=2, format="json"), files=files(*images), timeout=30
    )
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["shape"] == [2 * len(images), None, None, 3]
    for copy in range(2):
        dataset.set_epoch(2 + copy)
        for place in range(len(images)):
            item = told["data"][copy * len(images) + place]
            expected = dataset[place].permute(1, 2, 0).numpy()
            assert np.array_equal(
                read_png(base64.b64decode(item["b64_png"])), expected.repeat(3 // expected.shape[2], 2)
            )
            assert (item["epoch"], item["seed"]) == (2 + copy, 7)
            assert item["source_id"] == open_source(str(tmp_path / "photos"))[place].id


def test_all_forms_hold_the_same_images_with_ids_and_labels(client):
    ids, labels = [f"s{n}" for n in range(6)], ["dog", 0, "cat", "1", 1, 0]
    request = asked(ids=ids, labels=labels, classes=["cat", "dog"], epoch=3)
    numbers = [1, 0, 0, 1, 1, 0]
    expected = local(COLOUR, ids, 3)

    def ask(form: str):
        answer = client.post(URL, data={**request, "format": form}, files=files(*COLOUR))
        assert answer.status_code == 200, answer.text
        assert answer.headers["X-Synth-Digest"] == Pipeline.read(PIPELINE).specification.digest
        assert answer.headers["X-Synth-Labels"] == ",".join(map(str, numbers))
        assert answer.headers["X-Synth-Epoch"] == "3"
        return answer

    raw = ask("raw")
    assert raw.headers["X-Synth-Shape"] == "6,9,12,3"
    assert np.array_equal(np.frombuffer(raw.content, np.uint8).reshape(6, 9, 12, 3), expected)
    with np.load(io.BytesIO(ask("npz").content)) as arrays:
        assert np.array_equal(arrays["images"], expected)
        assert arrays["labels"].tolist() == numbers
        assert arrays["sources"].tolist() == ids
        assert arrays["class_names"].tolist() == ["cat", "dog"]
    told = ask("json").json()
    assert [item["label_name"] for item in told["data"]] == ["dog", "cat", "cat", "dog", "dog", "cat"]
    assert np.array_equal(read_png(base64.b64decode(told["data"][5]["b64_png"])), expected[5])
    with tarfile.open(fileobj=io.BytesIO(ask("tar").content)) as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}
    assert np.array_equal(read_png(members["000000000004.png"]), expected[4])
    assert members["000000000004.cls"] == b"1"
    record = json.loads(members["000000000004.json"])
    assert (record["source_id"], record["seed"], record["parameters"]["epoch"]) == ("s4", 7, 3)
    assert ask("multipart").content.count(b"X-Synth-Record") == 6
    single = client.post(URL, data=asked(ids=["s2"], epoch=3), files=files(COLOUR[2]))
    assert single.headers["Content-Type"] == "image/png"
    assert np.array_equal(read_png(single.content), expected[2])
    comment = Image.open(io.BytesIO(single.content)).text["Comment"]
    assert "-F seed=7 -F epoch=3" in comment


def test_an_image_does_not_depend_on_those_beside_it_nor_on_the_parts_they_are_changed_in(
    client, monkeypatch
):
    whole = client.post(URL, data=asked(format="raw"), files=files(*COLOUR)).content
    monkeypatch.setattr("synth.serving.augment_plan._PART", 1)
    assert client.post(URL, data=asked(format="raw"), files=files(*COLOUR)).content == whole
    alone = client.post(URL, data=asked(format="raw"), files=files(COLOUR[4])).content
    assert whole[4 * alone.__len__() : 5 * len(alone)] == alone


def test_images_may_be_changed_as_grey_ones_or_as_colour(client):
    grey = np.repeat(GREY[..., None], 3, axis=3)
    bare = client.post(URL, data=asked(ids=[0, 1, 2], format="raw"), files=files(*grey))
    assert np.array_equal(np.frombuffer(bare.content, np.uint8), local(GREY[..., None], range(3)).ravel())
    colour = client.post(URL, data=asked(ids=[0, 1, 2], format="raw", channels=3), files=files(*grey))
    assert np.array_equal(np.frombuffer(colour.content, np.uint8), local(grey, range(3)).ravel())


def test_partners_are_the_images_of_the_request_and_labels_become_shares(client):
    samples = Samples(
        torch.from_numpy(np.ascontiguousarray(COLOUR.transpose(0, 3, 1, 2))),
        tuple(range(6)),
        torch.tensor([0, 1, 2, 0, 1, 2]),
    )
    partners = Partners(samples.ids, lambda at: samples.part(slice(at, at + 1)), 3)
    made = Pipeline.read(MIXING, seed=7).run(samples, 1, partners)
    request = asked(MIXING, ids=[*range(6)], labels=[0, 1, 2, 0, 1, 2], classes=3, epoch=1)
    answer = client.post(URL, data={**request, "format": "npz"}, files=files(*COLOUR))
    with np.load(io.BytesIO(answer.content)) as arrays:
        assert np.array_equal(arrays["images"].transpose(0, 3, 1, 2), made.images.numpy())
        assert arrays["labels"].dtype == np.float32
        assert np.array_equal(arrays["labels"], made.labels.numpy())
    raw = client.post(URL, data={**request, "format": "raw"}, files=files(*COLOUR))
    rows = [list(map(float, row.split(" "))) for row in raw.headers["X-Synth-Labels"].split(",")]
    assert np.array_equal(np.array(rows, np.float32), made.labels.numpy())
    data = client.post(URL, data={**request, "format": "json"}, files=files(*COLOUR)).json()["data"]
    assert [(one["label"], one["shares"]) for one in data] == [(None, row) for row in made.labels.tolist()]
    tar = client.post(URL, data={**request, "format": "tar"}, files=files(*COLOUR))
    with tarfile.open(fileobj=io.BytesIO(tar.content)) as archive:
        assert not [name for name in archive.getnames() if name.endswith(".cls")]
        record = json.loads(archive.extractfile("000000000003.json").read())
    assert record["shares"] == made.labels[3].tolist()


def test_what_cannot_be_mixed_is_refused(client):
    one = client.post(URL, data=asked(MIXING), files=files(COLOUR[0]))
    assert "it has 1 image: give it at least 2" in problem(one, 422)
    labels = client.post(URL, data=asked(MIXING, labels=0), files=files(*COLOUR))
    assert "send classes" in problem(labels, 422)
    shapes = client.post(URL, data=asked(MIXING), files=files(*COLOUR[:4], COLOUR[4, :7]))
    assert "Images that are mixed have one shape" in problem(shapes, 422)
    many = asked(MIXING, labels=0, classes=9000, format="raw")
    assert "ask for npz" in problem(client.post(URL, data=many, files=files(*COLOUR)), 422)
    more = asked(MIXING, labels=0, classes=100_000, copies=120)
    assert "with shares of 100,000 classes" in problem(client.post(URL, data=more, files=files(*GREY)), 413)


def test_a_pipeline_is_named_by_its_digest_once_it_was_sent_by_its_name_or_by_a_preset(serve, pets, tmp_path):
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "mild.yaml").write_text("sample: [horizontal_flip, brightness]")
    client = serve(pipelines=folder)
    digest = Pipeline.read(PIPELINE).specification.digest
    by_digest = {"data": asked(digest, format="raw"), "files": files(COLOUR[0])}
    assert "Send the pipeline itself once" in problem(client.post(URL, **by_digest), 404)
    for said in (MIXING, json.dumps(MIXING)):
        told = client.post("/v1/pipelines", json={"pipeline": said}).json()
        assert told["digest"] == Pipeline.read(MIXING).specification.digest
    assert "did you mean" in problem(client.post("/v1/pipelines", json={"pipeline": "sample: [blurr]"}), 422)
    sent = client.post(URL, data=asked(format="raw"), files=files(COLOUR[0]))
    assert client.post(URL, **by_digest).content == sent.content
    assert client.get(f"/v1/pipelines/{digest}").json()["name"] is None
    listed = client.get("/v1/pipelines").json()["pipelines"]
    assert [one["name"] for one in listed] == ["basic", "mild"]
    for one in listed:
        assert client.get(f"/v1/pipelines/{one['name']}").json() == one
        by_name = client.post(URL, data=asked(one["name"], format="raw"), files=files(COLOUR[0]))
        assert by_name.headers["X-Synth-Digest"] == one["digest"]
        again = client.post(URL, data=asked(one["specification"], format="raw"), files=files(COLOUR[0]))
        assert again.content == by_name.content
    assert "(did you mean 'mild'?)" in problem(
        client.post(URL, data=asked("milt"), files=files(GREY[0])), 404
    )


def test_a_pipeline_may_have_models_of_the_servers_store(serve, store, tiny):
    tiny.untrained(store)
    pipeline = {"sample": [{"operation": "generate", "model": "toys", "probability": 0.7}, "horizontal_flip"]}
    samples = Samples(torch.from_numpy(GREY)[:, None], (0, 1, 2), torch.tensor([1, 0, 1]))
    expected = Pipeline.read(pipeline, seed=7, store=store).run(samples).images
    request = asked(pipeline, ids=[0, 1, 2], labels=["kind1", "kind0", 1], classes=["kind0", "kind1"])
    answer = serve().post(URL, data={**request, "format": "raw"}, files=files(*GREY))
    assert answer.content == expected.numpy().tobytes()
    missing = {"sample": [{"operation": "generate", "model": "toy"}]}
    assert "There is no model 'toy'" in problem(
        serve().post(URL, data=asked(missing), files=files(*GREY)), 422
    )


def test_yaml_is_taken_and_the_schema_is_told(client):
    yaml = "sample:\n  - rotate\n  - {operation: blur, sigma: 0.5}\n"
    expected = local(COLOUR[:1], ["a"], pipeline={"sample": ["rotate", {"operation": "blur", "sigma": 0.5}]})
    answer = client.post(URL, data=asked(yaml, ids=["a"], format="raw"), files=files(COLOUR[0]))
    assert answer.content == expected.tobytes()
    schema = client.get("/v1/pipelines/schema")
    assert schema.headers["Content-Type"] == "application/schema+json"
    assert "rotate@1" in schema.json()["$defs"]


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"pipeline": None}, 422, "/pipeline: Field required"),
        ({"pipeline": ""}, 422, "/pipeline: "),
        ({"pipeline": "/etc/passwd"}, 422, "A pipeline is a mapping"),
        ({"pipeline": "[blur]"}, 422, "A pipeline is a mapping"),
        ({"pipeline": "sample: [blurr]"}, 422, "(did you mean 'blur'?)"),
        ({"pipeline": "sample: [{operation: blur, probability: 2}]"}, 422, "less than or equal to 1"),
        ({"pipeline": "sample: [blur"}, 422, "neither YAML nor JSON"),
        ({"pipeline": '{"sample": ["blur"], "sample": ["hue"]}'}, 422, "'sample' is there twice"),
        ({"pipeline": "{sample: [blur], sample: [hue]}"}, 422, "'sample' is there twice"),
        ({"pipeline": "sample: [&a {operation: blur}, *a]"}, 422, "aliases are not taken here"),
        ({"pipeline": "[" * 60_000}, 422, "neither YAML nor JSON"),
        ({"pipeline": f"sample: [{'9' * 5000}]"}, 422, "neither YAML nor JSON"),
        ({"pipeline": f"version: 0x{'f' * 5000}"}, 422, "more than 64 bits"),
        ({"pipeline": "version: !!int ''"}, 422, "'' is no int"),
        ({"pipeline": "version: !!bool x"}, 422, "'x' is no bool"),
        ({"pipeline": "version: !!timestamp x"}, 422, "'x' is no timestamp"),
        ({"pipeline": f"sample: [one_of: [{'blur, ' * 100}]]"}, 422, "has 101 steps, and may have 100"),
        ({"pipeline": f"sample: [{{operation: rotate, degrees: {'9' * 400}}}]"}, 422, "more than 64 bits"),
        ({"pipeline": f"sample: [blur] # {'x' * 2**16}"}, 413, "may have 65,536"),
        ({"pipeline": "sample: [{operation: crop, size: [99, 99]}]"}, 422, "does not fit into an image"),
        ({"pipeline": "sample: [{operation: pad, pixels: 20000}]"}, 413, "more than one answer may have"),
        (
            {"pipeline": "sample: [{operation: pad, pixels: 20000}, {operation: crop, size: [8, 8]}]"},
            413,
            "crop and pad less",
        ),
        ({"pipeline": "sample: [{operation: crop, padding: 30000}]"}, 413, "crop and pad less"),
        ({"seed": "-1"}, 422, "/seed: Input should be greater than or equal to 0"),
        ({"seed": "x"}, 422, "/seed: Input should be a valid integer"),
        ({"epoch": "-1"}, 422, "/epoch: "),
        ({"epoch": str(2**63 - 1)}, 422, "epoch + copies must not exceed"),
        ({"copies": "0"}, 422, "/copies: "),
        ({"copies": "3000"}, 413, "all copies together"),
        ({"ids": '["a"]'}, 422, "1 ids were given for 2 images"),
        ({"ids": "a"}, 422, "/ids: The text is not JSON"),
        ({"ids": "[true, 1]"}, 422, "/ids: Give a text of up to 256 characters or a whole number"),
        ({"ids": '["a", "\\ud800"]'}, 422, "/ids: Give a text"),
        ({"ids": '["a", "\\u0000"]'}, 422, "/ids: Give a text"),
        ({"pipeline": '{"sample": [{"operation": "blur", "id": "\\ud800"}]}'}, 422, "which is no text"),
        ({"ids": '["a", -1]'}, 422, "a whole number of 0 to"),
        ({"labels": '["cat", "dog"]'}, 422, "send classes"),
        ({"labels": "[9223372036854775808, 1]"}, 422, "9223372036854775808 is no class number"),
        ({"labels": '["cat", "cow"]', "classes": '["cat", "dog"]'}, 422, "There is no class 'cow'"),
        ({"labels": "[0, 2]", "classes": "2"}, 422, "out of range"),
        ({"labels": "[0]"}, 422, "1 labels were given for 2 images"),
        ({"classes": '["cat", "cat"]'}, 422, "Two classes have one name"),
        ({"classes": "0"}, 422, "/classes: Give a text"),
        ({"channels": "4"}, 422, "/channels: Input should be 1 or 3"),
        ({"format": "gif"}, 406, "There is no format 'gif'"),
        ({"format": "png"}, 422, "png holds one image"),
        ({"boxes": "[]"}, 422, "There is no field 'boxes'"),
    ],
)
def test_bad_input_is_refused_with_a_remedy(client, fields, status, says):
    request = {name: value for name, value in {**asked(), **fields}.items() if value is not None}
    assert says in problem(client.post(URL, data=request, files=files(*COLOUR[:2])), status)


def test_images_of_several_sizes_need_a_form_that_holds_them(client):
    images = files(COLOUR[0], COLOUR[1, :5])
    assert "resized_crop and a size" in problem(client.post(URL, data=asked(format="npz"), files=images), 422)
    resized = {"sample": [{"operation": "resized_crop", "size": [4, 5]}]}
    answer = client.post(URL, data=asked(resized, format="raw"), files=images)
    assert answer.headers["X-Synth-Shape"] == "2,4,5,3"
    assert "/images: Send one or more files" in problem(
        client.post(URL, content=b"--x--", headers={"Content-Type": "multipart/form-data; boundary=x"}), 422
    )


def test_tiny_images_are_taken_and_what_is_no_image_is_named(client):
    answer = client.post(URL, data=asked(format="raw"), files=files(np.full((1, 1), 9, np.uint8)))
    assert answer.headers["X-Synth-Shape"] == "1,1,1,1"
    bad = [*files(COLOUR[0]), ("images", ("b.png", b"nothing"))]
    assert "/images/1: 'b.png' is not an image" in problem(client.post(URL, data=asked(), files=bad), 422)


def test_quotas_deadlines_and_the_queue_hold(serve, pets):
    client = serve(quota=10, queue_limit=1)
    ask = {"data": asked(copies=2), "files": files(*COLOUR[:3])}
    late = client.post(URL, **ask, headers={"X-Synth-Deadline-Seconds": "0.001"})
    assert late.status_code in (503, 504), late.text
    with client.app.state.services.augmenter.accept():
        full = client.post(URL, **ask)
    assert "The queue is full: 1 requests" in problem(full, 503)
    assert full.headers["Retry-After"]
    refused = [client.post(URL, **ask).status_code for _ in range(2)]
    assert refused[-1] == 429
    text = client.get("/metrics").text
    assert "synth_augment_requests 0.0" in text
    assert "synth_augment_seconds_count" in text


def test_a_client_that_goes_away_leaves_nothing_running(play, monkeypatch):
    """Hung up on after the form was sent: what is being changed is finished, and no more is begun."""
    monkeypatch.setattr("synth.serving.augment_plan._PART", 1)

    async def scenario(app) -> None:
        services = app.state.services
        body = httpx2.Request("POST", f"http://localhost{URL}", data=asked(copies=50), files=files(*COLOUR))
        content = body.read()
        gone, begun = asyncio.Event(), asyncio.Event()
        runs = 0
        whole = services.augmenter.run

        async def run(work, part, **options):
            nonlocal runs
            runs += 1
            begun.set()
            return await whole(work, part, **options)

        monkeypatch.setattr(services.augmenter, "run", run)
        messages = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive():
            if messages:
                return messages.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        sent = []

        async def send(message):
            sent.append(message)

        headers = [(name.lower().encode(), value.encode()) for name, value in body.headers.items()]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": URL,
            "raw_path": URL.encode(),
            "query_string": b"",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("localhost", 80),
        }
        request = asyncio.create_task(app(scope, receive, send))
        await begun.wait()
        gone.set()
        await request
        assert not sent
        assert runs < 300
        assert services.augmenter.requests == 0
        assert services.memory.used == 0

    play(scenario)


def test_a_name_that_configuration_cannot_have_is_refused_at_the_start(serve, pets, tmp_path):
    (tmp_path / "basic.yaml").write_text("sample: [blur]")
    with pytest.raises(Exception, match="cannot give its name to a pipeline"):
        serve(pipelines=tmp_path)
    with pytest.raises(Exception, match="SYNTH_PIPELINES"):
        serve(pipelines=tmp_path / "nowhere")
