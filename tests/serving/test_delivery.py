"""Clients that do not read, and clients that go away, as an ASGI server tells of them."""

from __future__ import annotations

import asyncio
import json

import pytest
from fastapi import FastAPI

from synth.errors import DeviceError
from synth.serving.forms import FORMS

URL = "/v1/images/generations"
ASK = {"model": "pets", "count": 100, "format": "raw"}
IMAGE_BYTES = 4 * 6
NEED = ASK["count"] * FORMS["raw"].memory(IMAGE_BYTES)


class Client:
    """One request on its way, and the messages that were taken of the answer."""

    def __init__(
        self,
        app: FastAPI,
        body: dict[str, object],
        *,
        reads: bool = True,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.messages: list[dict[str, object]] = []
        self.waiting = asyncio.Event()
        """Set when the application asks whether the client is still there."""
        self.stuck = asyncio.Event()
        """Set when the client, which does not read, is sent a body."""
        self.gone = asyncio.Event()
        self._reads = reads
        self._body: bytes | None = json.dumps(body).encode()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": URL,
            "raw_path": URL.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [
                (b"content-type", b"application/json"),
                *((name.lower().encode(), value.encode()) for name, value in (headers or {}).items()),
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    @property
    def status(self) -> object:
        return self.messages[0]["status"]

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def content(self) -> bytes:
        return b"".join(message["body"] for message in self.messages[1:])

    async def _receive(self) -> dict[str, object]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        self.waiting.set()
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, object]) -> None:
        if message["type"] == "http.response.body" and not self._reads:
            self.stuck.set()
            await asyncio.Event().wait()
        self.messages.append(message)


def test_answers_that_are_not_read_are_counted_until_their_client_has_gone(play):
    async def scenario(app: FastAPI) -> None:
        idle = Client(app, ASK, reads=False)
        await idle.stuck.wait()

        refused = Client(app, ASK)
        await refused.task
        assert refused.status == 503
        assert int(refused.headers[b"retry-after"]) >= 1
        assert json.loads(refused.content)["code"] == "overloaded"

        # What is sent is known in full, and takes less than what it might have been.
        fewer = Client(app, ASK | {"count": 99})
        await fewer.task
        assert fewer.status == 200

        idle.gone.set()
        await idle.task
        accepted = Client(app, ASK)
        await accepted.task
        assert accepted.status == 200
        assert len(accepted.content) == 100 * IMAGE_BYTES

    play(scenario, max_bytes_in_flight=NEED)


def test_an_answer_is_counted_before_it_is_made_and_an_error_gives_its_memory_back(
    play, gate, fake_generator
):
    def fail_once() -> None:
        gate()
        if not failed:
            failed.append(True)
            raise DeviceError("The device is out of order.")

    failed: list[bool] = []

    async def scenario(app: FastAPI) -> None:
        wrong = Client(app, ASK)
        assert await asyncio.to_thread(gate.entered.wait, 30)
        refused = Client(app, ASK)
        await refused.task
        assert refused.status == 503
        gate.open.set()
        await wrong.task
        assert wrong.status == 503
        accepted = Client(app, ASK)
        await accepted.task
        assert accepted.status == 200

    play(scenario, lambda artifact: fake_generator(artifact, fail_once), max_bytes_in_flight=NEED)


def test_what_a_client_left_in_the_queue_is_never_computed_and_makes_room(play, gate, fake_generator):
    seeds = set()

    class Recorder(fake_generator):
        def run(self, rows, *arguments, **options):
            seeds.update(rows.seed.tolist())
            return super().run(rows, *arguments, **options)

    async def scenario(app: FastAPI) -> None:
        first = Client(app, ASK | {"seed": 1})
        assert await asyncio.to_thread(gate.entered.wait, 30)
        second = Client(app, ASK | {"seed": 2})
        while app.state.services.engine.waiting_requests < 2:
            await asyncio.sleep(0)
        second.gone.set()
        await second.task
        assert second.messages == []
        third = Client(app, ASK | {"seed": 3})
        await third.waiting.wait()
        gate.open.set()
        await asyncio.gather(first.task, third.task)
        assert (first.status, third.status) == (200, 200)
        assert seeds == {1, 3}
        assert app.state.services.engine.counters.rows_dropped == ASK["count"]

    play(scenario, lambda artifact: Recorder(artifact, gate), queue_limit=2)


def test_a_long_answer_is_sent_in_pieces_so_that_the_server_can_wait_for_the_client(play):
    async def scenario(app: FastAPI) -> None:
        client = Client(app, ASK | {"count": 4096, "format": "tar"})
        await client.task
        assert client.headers[b"content-type"] == b"application/x-tar"
        sizes = [len(message["body"]) for message in client.messages[1:]]
        assert len(sizes) > 10
        assert max(sizes) < 2**19
        assert min(sizes[:-2]) >= 2**18

    play(scenario)


@pytest.mark.parametrize("fails", [False, True])
def test_a_long_answer_begins_before_it_is_finished_and_is_broken_off_if_it_cannot_be(
    play, gate, fake_generator, caplog, fails
):
    def hold_the_second() -> None:
        batches.append(True)
        if len(batches) == 2:
            gate()
            if fails:
                raise DeviceError("The device is out of order.")

    batches: list[bool] = []

    async def scenario(app: FastAPI) -> None:
        client = Client(app, ASK | {"count": 4000, "format": "tar"})
        assert await asyncio.to_thread(gate.entered.wait, 30)
        while not client.messages:
            await asyncio.sleep(0)
        assert client.status == 200
        gate.open.set()
        await client.task
        assert client.messages[-1].get("more_body", False) == fails  # where it fails the end is never sent
        assert ("was broken off: The device is out of order." in caplog.text) == fails
        assert app.state.services.engine.waiting_requests == 0
        assert app.state.services.memory.used == 0

    class Large(fake_generator):
        def best_bucket(self, mode="fast", shape=None) -> int:
            return 2000

    play(scenario, lambda artifact: Large(artifact, hold_the_second))


def test_a_deadline_that_passes_is_504_and_one_that_cannot_be_kept_503(play, gate, fake_generator):
    async def scenario(app: FastAPI) -> None:
        (await app.state.services.registry.lease("pets")).close()
        late = Client(app, ASK | {"count": 1}, headers={"X-Synth-Deadline-Seconds": "0.1"})
        await late.task
        assert (late.status, json.loads(late.content)["code"]) == (504, "deadline")
        hopeless = Client(app, ASK | {"count": 4000}, headers={"X-Synth-Deadline-Seconds": "5"})
        await hopeless.task
        assert (hopeless.status, json.loads(hopeless.content)["code"]) == (503, "overloaded")
        assert int(hopeless.headers[b"retry-after"]) >= 1
        gate.open.set()

    class Slow(fake_generator):
        def cost(self, count, mode="fast", parameters=None, shape=None) -> float:
            return count * 1e-2

    play(scenario, lambda artifact: Slow(artifact, gate))


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "inf", ""])
def test_a_deadline_that_is_no_time_is_refused(client, seconds):
    answer = client.post(URL, json={"count": 1}, headers={"X-Synth-Deadline-Seconds": seconds})
    assert answer.status_code == 422
    assert "X-Synth-Deadline-Seconds" in answer.json()["detail"]


def test_more_than_the_memory_there_is_can_never_be_had(play):
    async def scenario(app: FastAPI) -> None:
        client = Client(app, ASK)
        await client.task
        assert client.status == 413
        assert "Ask for 99 at a time" in json.loads(client.content)["detail"]

    play(scenario, max_bytes_in_flight=NEED - 1)
