"""Servers that are busy, broken, or none: on a real socket, with answers that the test has written."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from synth.client import ServerError, UnreachableError
from synth.client.transport import Transport
from synth.errors import ArtifactError, LabelError, NotFoundError, OverloadError, UsageError


class Scripted:
    """Gives one answer after the other, (status, headers, body), or hangs up where there is None."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes] | None] = []
        self.seen: list[dict[str, str]] = []
        self.waits: list[float] = []
        script = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                script.seen.append(dict(self.headers))
                answer = script.answers.pop(0)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def problem(self, status: int, code: str, detail: str, **headers: str) -> None:
        body = {"status": status, "code": code, "detail": detail, "request_id": "r1"}
        self.answers.append((status, headers, json.dumps(body).encode()))

    def good(self) -> None:
        self.answers.append((200, {}, b'{"fine": true}'))

    def transport(self, **options: object) -> Transport:
        settings = {"key": None, "timeout_seconds": 30, "retries": 4, "most_wait_seconds": 60, **options}
        return Transport(f"http://127.0.0.1:{self.server.server_port}/", sleep=self.waits.append, **settings)


@pytest.fixture
def script():
    made = Scripted()
    yield made
    made.server.shutdown()
    made.thread.join()
    made.server.server_close()


def test_a_busy_server_is_asked_again_when_it_says(script):
    script.problem(503, "overloaded", "full", **{"Retry-After": "7"})
    script.problem(429, "rate-exceeded", "slow down", **{"Retry-After": "2"})
    script.good()
    transport = script.transport(key="sk_1")
    assert transport.json("/x") == {"fine": True}
    assert script.waits == [7.0, 2.0]
    assert all(seen["Authorization"] == "Bearer sk_1" for seen in script.seen)
    transport.close()


def test_a_connection_that_breaks_is_made_again(script):
    script.answers += [None, None]
    script.good()
    assert script.transport().json("/x") == {"fine": True}
    assert script.waits == [0.25, 0.5]


@pytest.mark.parametrize(
    ("retries", "most_wait", "asked"), [(2, 1_000.0, 3), (9, 65.0, 3), (9, 29.0, 1), (0, 1_000.0, 1)]
)
def test_there_is_an_end_to_it(script, retries, most_wait, asked):
    for _ in range(10):
        script.problem(503, "overloaded", "The queue is full.", **{"Retry-After": "30"})
    with pytest.raises(OverloadError, match="The queue is full") as caught:
        script.transport(retries=retries, most_wait_seconds=most_wait).json("/x")
    assert caught.value.retry_after_seconds == 30
    assert len(script.seen) == asked


def test_a_connection_that_always_breaks_is_told(script):
    script.answers += [None] * 9
    with pytest.raises(UnreachableError, match=r"cannot be reached .*Is synth serve running there\?"):
        script.transport(retries=1).json("/x")


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (404, "not-found", NotFoundError),
        (422, "invalid-label", LabelError),
        (413, "too-large", UsageError),
        (401, "unauthorized", UsageError),
        (503, "damaged-artifact", ArtifactError),
        (500, "internal-error", ServerError),
        (507, "odd-new-trouble", ServerError),
    ],
)
def test_problems_are_raised_as_what_they_are_and_not_tried_again(script, status, code, error):
    script.problem(status, code, "What it is.")
    with pytest.raises(error, match=r"What it is\.") as caught:
        script.transport().json("/x")
    assert (caught.value.code, caught.value.status) == (code, status)
    assert ("request r1" in str(caught.value)) == (error is ServerError)
    assert len(script.seen) == 1


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((200, {}, b"<html>"), "did not answer with JSON: is that a server of synth"),
        ((200, {}, b"[1]"), "did not answer with JSON"),
        ((404, {}, b"<html>"), "answered 404 with what is no problem of synth's"),
        ((502, {}, b""), "answered 502 with what is no problem of synth's"),
    ],
)
def test_what_is_no_server_of_synth_is_told(script, answer, says):
    script.answers.append(answer)
    with pytest.raises(ServerError, match=says):
        script.transport().json("/x")
