from __future__ import annotations

import asyncio
import json
import logging
import queue
import socket
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import httpx2
import pytest

from synth.serving.access_log import AccessLog, logs_on_stderr
from synth.serving.keys import KeyFile
from synth.serving.observation import ObservationMiddleware
from synth.serving.telemetry import Telemetry

URL = "/v1/images/generations"


@pytest.fixture
def lines(caplog):
    """What the access log has written, read as JSON."""
    caplog.set_level(logging.INFO, logger="synth.access")

    def read() -> list[dict[str, object]]:
        written = [record.getMessage() for record in caplog.records if record.name == "synth.access"]
        assert all(line.isascii() and line.isprintable() for line in written)
        return [json.loads(line) for line in written]

    return read


def test_a_request_is_one_line_with_all_that_one_asks_for(client, lines):
    headers = {
        "X-Request-ID": "run-7",
        "User-Agent": "trainer/" + "9" * 300,
        "Authorization": "Bearer sk_secret",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    answer = client.post(URL + "?token=secret", json={"count": 3, "format": "raw"}, headers=headers)
    [line] = lines()
    when = datetime.fromisoformat(line.pop("time"))
    assert when.utcoffset() == timedelta(0)
    assert line.pop("seconds") > 0
    assert line == {
        "request_id": "run-7",
        "client": "testclient",
        "method": "POST",
        "path": URL,
        "route": URL,
        "status": 200,
        "bytes": len(answer.content),
        "user_agent": headers["User-Agent"][:200],
        "model": "pets@1",
        "images": 3,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }


def test_a_client_with_a_key_is_told_by_its_id(store, serve, lines):
    key, token = KeyFile(store.root / "keys.json").create("lab")
    client = serve()
    client.get("/v1/models", headers={"X-API-Key": token})
    client.get("/v1/models", headers={"X-API-Key": "sk_wrong"})
    known, refused = lines()
    assert (known["client"], known["status"]) == (key.id, 200)
    assert (refused["client"], refused["status"], refused["problem"]) == ("testclient", 401, "unauthorized")
    assert "route" not in refused


def test_no_client_can_forge_a_line(client, lines):
    agent = 'x"}{"forged": 1}\\n'
    client.get("/v1/models/a%0Ab%22%7D%E2%80%A8", headers={"User-Agent": agent})
    [line] = lines()
    assert line["path"] == '/v1/models/a\nb"}\u2028'
    assert line["user_agent"] == agent


def test_an_error_has_the_line_of_its_request(pets, serve, lines):
    def open_generator(artifact):
        raise RuntimeError("the secret")

    serve(open_generator).post(URL, json={})
    [line] = lines()
    assert (line["status"], line["error"]) == (500, "RuntimeError")
    assert "the secret" not in str(line)


def observe(app, messages: list[dict[str, object]]) -> None:
    """Runs ``app`` with a client that sends these messages."""
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": None, "state": {}}

    async def receive():
        return messages.pop(0)

    async def send(message):
        pass

    asyncio.run(ObservationMiddleware(app, telemetry=Telemetry(), log=AccessLog())(scope, receive, send))


def test_a_client_that_goes_away_is_499(lines):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        await receive()
        await send({"type": "http.response.body", "body": b"lost"})

    observe(app, [{"type": "http.disconnect"}])
    assert (lines()[0]["status"], lines()[0]["bytes"]) == (499, 3)


def test_a_client_that_leaves_once_it_has_all_is_no_499(lines):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"abc"})
        await receive()

    observe(app, [{"type": "http.disconnect"}])
    assert lines()[0]["status"] == 200


def test_an_answer_that_breaks_off_is_told_with_its_error(lines):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        observe(app, [])
    assert (lines()[0]["status"], lines()[0]["error"]) == (200, "ZeroDivisionError")


def test_as_json_every_logger_writes_lines_with_the_id_of_the_request(client, capsys):
    with logs_on_stderr("json"):
        client.get("/livez", headers={"X-Request-ID": "mine"})
        logging.getLogger("elsewhere").warning("Two\nlines")
        try:
            raise ValueError("why")
        except ValueError:
            logging.getLogger("uvicorn.error").exception("It failed\n")
    access, warning, error = map(json.loads, capsys.readouterr().err.splitlines())
    assert (access["request_id"], access["path"]) == ("mine", "/livez")
    assert (warning["level"], warning["logger"], warning["message"]) == ("warning", "elsewhere", "Two\nlines")
    assert (error["message"], error["traceback"].splitlines()[-1]) == ("It failed", "ValueError: why")
    logging.getLogger("elsewhere").info("afterwards")
    client.get("/livez")
    assert capsys.readouterr().err == ""


def test_an_error_is_logged_with_the_id_of_its_request(capsys):
    from synth.serving.request_id import RequestIdMiddleware

    async def app(scope, receive, send):
        raise ValueError("why")

    async def run() -> None:  # as servers do: they log in the task of the request
        headers = [(b"x-request-id", b"mine")]
        try:
            await RequestIdMiddleware(app)({"type": "http", "headers": headers}, None, None)
        except ValueError:
            logging.getLogger("uvicorn.error").exception("Exception in ASGI application")

    with logs_on_stderr("json"):
        asyncio.run(run())
    assert json.loads(capsys.readouterr().err)["request_id"] == "mine"


def test_a_traceback_has_the_id_that_the_client_was_told(listen, pets, capsys):
    def open_generator(artifact):
        raise RuntimeError("the secret")

    with logs_on_stderr("json"):
        address = listen(open_generator)
        answer = httpx2.post(address + URL, json={})
        httpx2.get(address + "/livez")  # the error is logged after its answer was sent, and before this one's
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    [traceback] = [line for line in told if line.get("logger") == "uvicorn.error"]
    assert "RuntimeError: the secret" in traceback["traceback"]
    [access] = [line for line in told if line.get("path") == URL]
    assert (access["status"], answer.status_code) == (500, 500)
    assert traceback["request_id"] == access["request_id"] == answer.json()["request_id"]


def test_a_client_that_hangs_up_is_499(listen, pets, gate, fake_generator, caplog):
    class Ended(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            ended.put(json.loads(record.getMessage()))

    ended: queue.Queue[dict[str, object]] = queue.Queue()
    caplog.set_level(logging.INFO, logger="synth.access")
    place = urlsplit(listen(lambda artifact: fake_generator(artifact, gate)))
    logging.getLogger("synth.access").addHandler(handler := Ended())
    try:
        with socket.create_connection((place.hostname, place.port)) as connection:
            head = f"POST {URL} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: 2\r\n\r\n{{}}".encode())
            assert gate.entered.wait(30)
        assert ended.get(timeout=30)["status"] == 499
    finally:
        logging.getLogger("synth.access").removeHandler(handler)


@pytest.mark.parametrize(("form", "terminal", "written"), [
    ("auto", False, True), ("auto", True, False), ("json", True, True), ("off", False, False),
])  # fmt: skip
def test_it_is_json_by_default_unless_somebody_looks_on(client, capsys, monkeypatch, form, terminal, written):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    with logs_on_stderr(form):
        client.get("/livez")
    assert bool(capsys.readouterr().err) == written
