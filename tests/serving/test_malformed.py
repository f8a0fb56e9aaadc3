"""Bodies that are spoiled in every way, sent over real sockets."""

from __future__ import annotations

import gzip
import json
import random
import socket
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx2

URL = "/v1/images/generations"
COUNT = 1000

VALID = [
    {"model": "pets", "count": 3, "seed": 7, "format": "raw"},
    {"model": "pets@1", "count": 2, "labels": {"cat": 1, "dog": 1}, "start": 64, "mode": "exact"},
    {"count": 2, "labels": ["cat", "owl"], "parameters": {"temperature": 0.5}, "format": "json"},
    {"labels": "balanced", "count": 6, "format": "npz"},
]
WRONG = [None, True, -1, 1.5, 10**30, -(10**400), "", "\0", "x" * 5000, [], [[]], {}, {"a": {"b": []}}]


@dataclass
class Request:
    """What is sent after the request line and Host."""

    body: bytes
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    framed: bool = True
    """Whether Content-Length is added; what is not framed is an error of HTTP itself."""

    @property
    def data(self) -> bytes:
        about = {"Host": "localhost", "Connection": "close", **self.headers}
        if self.framed:
            about["Content-Length"] = str(len(self.body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in about.items())
        return f"POST {URL} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + self.body


def plain(choose: random.Random) -> bytes:
    return json.dumps(choose.choice(VALID)).encode()


def truncated(choose: random.Random) -> Request:
    body = plain(choose)
    return Request(body[: choose.randrange(1, len(body))])


def spoiled_bytes(choose: random.Random) -> Request:
    body = bytearray(plain(choose))
    for _ in range(choose.randrange(1, 5)):
        # No text in UTF-8 has these, wherever they stand.
        body[choose.randrange(len(body))] = choose.choice([0xC0, 0xC1, 0xF5, 0xFE, 0xFF])
    return Request(bytes(body))


def wrong_type(choose: random.Random) -> Request:
    body = dict(choose.choice(VALID))
    name = choose.choice(["count", "seed", "start", "mode", "format", "labels", "parameters"])
    accepted = {"seed": [None, 10**30], "labels": ["cat"], "parameters": [{}], "format": [None]}
    fitting = [value for value in WRONG if value not in accepted.get(name, [])]
    body[name] = choose.choice(fitting)
    if name == "labels" and body[name] in ([], {}):
        body["count"] = 3
    return Request(json.dumps(body).encode())


def unknown_field(choose: random.Random) -> Request:
    name = choose.choice(["cuont", "", "\0", "__proto__", "\ud800", "x" * 2000])
    return Request(json.dumps({**choose.choice(VALID), name: choose.choice(WRONG)}).encode())


def no_object(choose: random.Random) -> Request:
    return Request(json.dumps(choose.choice([value for value in WRONG if value != {}])).encode())


def huge_number(choose: random.Random) -> Request:
    name = choose.choice(["count", "seed", "start"])
    number = choose.choice(
        ["9" * 5000, "1e999", "-1e999", str(2**64), "NaN", "Infinity", "0" * 9 + "1", "1.0e0"]
    )
    return Request(f'{{"{name}": {number}}}'.encode())


def deep(choose: random.Random) -> Request:
    opening = choose.choice(["[", '{"a":', '{"parameters":', '[{"labels":'])
    depth = choose.choice([500, 5_000, 50_000])
    closing = "".join({"[": "]", "{": "}"}[sign] for sign in reversed(opening) if sign in "[{")
    return Request((opening * depth + choose.choice(["", "1" + closing * depth])).encode())


def lone_surrogate(choose: random.Random) -> Request:
    escaped = choose.choice([r"\ud800", r"\udfff", r"\udc00\ud800", r"pets\ud83d"])
    name = choose.choice(["model", "labels", "mode", "format"])
    return Request(f'{{"{name}": "{escaped}"}}'.encode())


def nul(choose: random.Random) -> Request:
    if choose.random() < 0.5:
        return Request(json.dumps({choose.choice(["model", "labels", "mode", "format"]): "a\0b"}).encode())
    body = plain(choose)
    at = choose.randrange(len(body))
    return Request(body[:at] + b"\0" + body[at:])


def other_encoding(choose: random.Random) -> Request:
    text = plain(choose).decode()
    encoding = choose.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "cp037"])
    return Request(text.encode(encoding), {"Content-Type": f"application/json; charset={encoding}"})


def twice(choose: random.Random) -> Request:
    body = choose.choice(VALID)
    name = choose.choice(list(body))
    rest = json.dumps({name: body[name]})[1:]
    return Request((json.dumps(body)[:-1] + ", " + rest).encode())


def other_type(choose: random.Random) -> Request:
    types = [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
        "\xe9/*",
    ]
    header = choose.choice([*types, "application/octet-stream", "application/json-seq", "json", "*/*"])
    return Request(plain(choose), {"Content-Type": header} if header else {})


def compressed(choose: random.Random) -> Request:
    coding, pack = choose.choice([("gzip", gzip.compress), ("deflate", zlib.compress), ("br", bytes)])
    bomb = b" " * choose.choice([0, 10**6]) + plain(choose)
    return Request(pack(bomb), {"Content-Type": "application/json", "Content-Encoding": coding})


def too_long(choose: random.Random) -> Request:
    return Request(plain(choose) + b" " * 2**20)


def broken_chunks(choose: random.Random) -> Request:
    body = plain(choose)
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n"
    data = choose.choice(
        [chunk, b"zz\r\n" + body, chunk + b"-1\r\n\r\n", b"ffffffffffffffffff\r\n" + body, b""]
    )
    return Request(data, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}, framed=False)


def wrong_length(choose: random.Random) -> Request:
    body = plain(choose)
    length = choose.choice([str(len(body) + 9), "-1", "many", "9" * 30, f"{len(body)}, 3"])
    return Request(body, {"Content-Type": "application/json", "Content-Length": length}, framed=False)


MUTATIONS: list[Callable[[random.Random], Request]] = [
    truncated, spoiled_bytes, wrong_type, unknown_field, no_object, huge_number, deep, lone_surrogate, nul,
    other_encoding, twice, other_type, compressed, too_long, broken_chunks, wrong_length,
]  # fmt: skip


def ask(address: str, request: Request) -> tuple[int | None, dict[str, str], bytes]:
    """Status, headers and body of the answer; no status if the server only hung up."""
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        try:
            connection.sendall(request.data)
            if not request.framed:  # or the server would wait for the rest
                connection.shutdown(socket.SHUT_WR)
        except OSError:  # it has answered and hung up already
            pass
        data = bytearray()
        try:
            while piece := connection.recv(65536):
                data += piece
        except ConnectionResetError:
            pass
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return int(lines[0].split()[1]) if data else None, headers, body


def test_a_thousand_malformed_bodies_are_refused_as_documented_and_the_server_lives_on(listen, pets):
    address = listen()
    paths = httpx2.get(f"{address}/openapi.json").json()["paths"]
    documented = {int(status) for status in paths[URL]["post"]["responses"]}
    choose = random.Random(4)
    met: dict[str, set[int | None]] = {mutate.__name__: set() for mutate in MUTATIONS}
    for number in range(COUNT):
        mutate = MUTATIONS[number % len(MUTATIONS)]
        request = mutate(choose)
        status, headers, body = ask(address, request)
        met[mutate.__name__].add(status)
        where = f"{mutate.__name__} {number}: {status} {request.data[:300]!r} {body[:300]!r}"
        if not request.framed:
            # Who stops in the middle is not answered: he may have gone.
            assert status in (None, 400), where
            if status is None:
                continue
        assert status in documented, where
        assert 400 <= status < 500, where
        assert headers["content-type"] == "application/problem+json", where
        assert json.loads(body)["status"] == status, where
    assert met["too_long"] == {413}
    assert met["other_type"] == met["compressed"] == {415}
    assert httpx2.post(address + URL, json=VALID[0]).status_code == 200
