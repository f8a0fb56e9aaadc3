"""What comes before a body, over real sockets."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from synth.serving.protocol import HEAD_BYTES

START = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def connect(listen, pets) -> Callable[[], socket.socket]:
    place = urlsplit(listen())
    return lambda: socket.create_connection((place.hostname, place.port), timeout=30)


def answer(connection: socket.socket) -> tuple[int, dict[str, object]]:
    """Status and problem of an answer, after which the server must hang up."""
    data = bytearray()
    try:
        while piece := connection.recv(65536):
            data += piece
    except ConnectionResetError:  # it has not read all that was sent
        pass
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    problem = json.loads(body)
    assert f"X-Request-ID: {problem['request_id']}".encode() in head
    status = int(head.split()[1])
    assert problem["status"] == status
    return status, problem


@pytest.mark.parametrize("name", [b"X-A: ", b"X-A" * 1000 + b": "])
def test_headers_without_end_are_431_before_they_fill_the_memory(connect, name):
    with connect() as connection:
        try:
            connection.sendall(START)
            for _ in range(1000):
                connection.sendall(name + b"a" * 60_000 + b"\r\n")
            pytest.fail("60 MB of headers were taken")
        except OSError:
            pass
    with connect() as connection:
        # Not a byte more: what the server does not read would make the system take back its answer.
        connection.sendall((START + name).ljust(HEAD_BYTES + 1, b"a"))
        status, problem = answer(connection)
    assert (status, problem["code"]) == (431, "request-header-fields-too-large")


def test_headers_that_arrive_too_slowly_are_408(connect, monkeypatch):
    monkeypatch.setattr("synth.serving.protocol.HEAD_SECONDS", 0.05)
    with connect() as silent, connect() as slow:
        slow.sendall(START)
        assert answer(silent)[0] == answer(slow)[0] == 408


def test_what_is_no_http_is_400(connect, caplog):
    with connect() as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00")  # a browser that was told https://
        status, problem = answer(connection)
    assert (status, problem["code"]) == (400, "bad-request")
    assert str(problem["request_id"]) in caplog.text


def test_many_requests_on_one_connection_are_counted_each_for_itself(connect):
    header = b"X-A: " + b"a" * 30_000 + b"\r\n\r\n"
    with connect() as connection, connection.makefile("rb") as stream:
        for _ in range(5):
            connection.sendall(START + header)
            assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
            while stream.readline() != b"\r\n":
                pass
            assert json.loads(stream.read(len('{"status":"alive"}')))
