from __future__ import annotations

import asyncio
import email
import io
import json
import tarfile

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image

URL = "/v1/stream"


def test_a_stream_resumed_at_any_index_goes_on_with_the_same_bytes(client):
    whole = client.get(URL, params={"count": 300, "seed": 7, "labels": "balanced"})
    assert whole.headers["Content-Type"] == "application/x-tar"
    assert whole.headers["X-Synth-Model"] == "pets@1"
    assert whole.headers["X-Synth-Seed"] == "7"
    assert whole.headers["X-Synth-Shape"] == "*,4,6,1"
    with tarfile.open(fileobj=io.BytesIO(whole.content)) as tar:
        members = {member.name: (member.offset, tar.extractfile(member).read()) for member in tar}
    keys = list(dict.fromkeys(name.partition(".")[0] for name in members))
    assert keys == [f"{index:012d}" for index in range(300)]
    assert json.loads(members[f"{keys[299]}.json"][1])["label_name"] == "owl"
    for start in (1, 123, 299):
        rest = client.get(URL, params={"count": 300 - start, "seed": 7, "labels": "balanced", "start": start})
        from_there = whole.content[members[f"{keys[start]}.png"][0] :].rstrip(b"\0")
        assert rest.content.rstrip(b"\0") == from_there


def test_a_stream_has_the_samples_of_requests_with_the_same_keys(client):
    ask = {"count": 50, "seed": 3, "start": 10, "format": "raw", "temperature": 0.5}
    stream = client.get(URL, params=ask)
    parameters = {"temperature": ask.pop("temperature")}
    same = client.post("/v1/images/generations", json=ask | {"parameters": parameters})
    assert stream.content == same.content


def test_multipart_has_a_png_and_a_record_for_each_image(client):
    answer = client.get(URL, params={"count": 3, "seed": 1}, headers={"Accept": "multipart/mixed"})
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    parts = email.message_from_bytes(head + answer.content).get_payload()
    assert [part.get_content_type() for part in parts] == ["image/png"] * 3
    assert [json.loads(part["X-Synth-Record"])["index"] for part in parts] == [0, 1, 2]
    assert np.asarray(Image.open(io.BytesIO(parts[0].get_payload(decode=True)))).shape == (4, 6)


@pytest.mark.parametrize(
    ("params", "status", "says"),
    [
        ({"model": "pest"}, 404, "Models: pets"),
        ({"format": "npz"}, 406, "Formats: tar, multipart, raw"),
        ({"start": -1}, 422, "start"),
        ({"start": 2**63}, 422, "start"),
        ({"seed": 2**64}, 422, "seed"),
        ({"count": 0}, 422, "count"),
        ({"labels": "dgo"}, 422, "'dog'"),
        ({"labels": "cat=3"}, 422, "labels"),
        ({"sede": 3}, 422, "sede"),
        ({"temperature": "warm"}, 422, "temperature must be a number from 0 to 10, not 'warm'"),
        ({"mode": "quick"}, 422, "mode"),
    ],
)
def test_what_cannot_be_streamed_is_refused(client, params, status, says):
    answer = client.get(URL, params=params)
    assert answer.status_code == status
    assert says in answer.json()["detail"]


class Reader:
    """A client of the application that reads so many messages with a body, and then goes away."""

    def __init__(self, app: FastAPI, query: str, messages: int) -> None:
        self.messages: list[dict[str, object]] = []
        self.got = asyncio.Event()
        self.gone = asyncio.Event()
        self._most = messages
        self._asked = False
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": URL,
            "raw_path": URL.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, object]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, object]) -> None:
        self.messages.append(message)
        if len(self.messages) > self._most:
            self.got.set()
            await asyncio.Event().wait()  # it reads no more


def test_an_endless_stream_makes_no_more_than_is_read_and_ends_with_its_client(play):
    async def scenario(app: FastAPI) -> None:
        services = app.state.services
        reader = Reader(app, "seed=1", messages=4)
        await reader.got.wait()
        chunk = services.engine.counters.rows
        for _ in range(1000):
            await asyncio.sleep(0)
        assert services.engine.counters.rows <= chunk + 2 * 256 * 1024 // 24 + 2
        assert services.memory.used > 0
        reader.gone.set()
        await reader.task
        while services.engine.waiting_requests:
            await asyncio.sleep(0)
        assert services.memory.used == 0
        body = b"".join(message["body"] for message in reader.messages[1:])
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            assert tar.next().name == "000000000000.png"

    play(scenario)


def test_a_stream_is_ended_in_order_when_the_server_stops(play):
    async def scenario(app: FastAPI) -> None:
        reader = Reader(app, "seed=1", messages=10**9)
        while len(reader.messages) < 3:
            await asyncio.sleep(0)
        await app.state.services.engine.shut_down(10)
        await reader.task
        assert reader.messages[-1] == {"type": "http.response.body", "body": b""}
        body = b"".join(message["body"] for message in reader.messages[1:])
        assert body.endswith(bytes(1024))

    play(scenario)


def test_a_stream_ends_in_order_when_the_quota_of_its_client_is_spent(serve, pets):
    client = serve(quota=30_000)
    answer = client.get(URL, params={"seed": 1, "format": "raw"})
    assert 0 < len(answer.content) // 24 <= 30_000
    assert client.get(URL).status_code == 429
