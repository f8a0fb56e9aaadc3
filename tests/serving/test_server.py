"""The server as a process, over real sockets."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from synth.cli.serve import serve as serve_command
from synth.errors import ConfigError, DeviceError, UsageError
from synth.serving.server import bind
from synth.serving.settings import load_settings

URL = "/v1/images/generations"


class Process:
    """A server process, and the pipes to the generator in it."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.asked, self.go = folder / "asked", folder / "go"
        os.mkfifo(self.asked)
        os.mkfifo(self.go)
        script = Path(__file__).with_name("slow_server.py")
        arguments = [str(item) for item in (script, store, self.asked, self.go)]
        self.process = subprocess.Popen([sys.executable, *arguments], stderr=subprocess.PIPE, text=True)
        self.url = re.search(r"http://\S+", self.line()).group()

    def line(self) -> str:
        line = self.process.stderr.readline()
        assert line, "the server has ended"
        return line

    def end(self) -> tuple[int, str]:
        """Exit code, and what else it said."""
        rest = self.process.stderr.read()
        return self.process.wait(30), rest


@pytest.fixture
def start(tmp_path: Path, pets) -> Iterator[Callable[[], Process]]:
    started = []

    def start() -> Process:
        started.append(Process(tmp_path, pets.path.parents[1]))
        return started[-1]

    yield start
    for server in started:
        server.process.kill()
        server.process.wait()
        server.process.stderr.close()


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def test_sigterm_finishes_the_accepted_request_while_new_ones_are_refused(start, background):
    server = start()
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        assert client.get("/readyz").json()["models"] == 1
        accepted = background.submit(httpx2.post, server.url + URL, json={"seed": 5}, timeout=30)
        assert server.asked.read_text() == "asked"
        server.process.send_signal(signal.SIGTERM)
        assert "Stopping" in server.line()
        assert client.get("/livez").status_code == 200
        ready, refused = client.get("/readyz"), client.post(URL, json={})
        assert (ready.status_code, ready.json()["code"]) == (503, "overloaded")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        server.go.write_text("go")
        assert accepted.result().status_code == 200
        assert accepted.result().headers["X-Synth-Seed"] == "5"
    assert server.end() == (0, "")


def test_ctrl_c_twice_stops_at_once(start, background):
    server = start()
    background.submit(httpx2.post, server.url + URL, json={}, timeout=30)
    assert server.asked.read_text() == "asked"
    server.process.send_signal(signal.SIGINT)
    assert "Stopping" in server.line()
    server.process.send_signal(signal.SIGINT)
    assert server.end() == (0, "")


def test_a_port_in_use_is_one_clear_error(store):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"Port {port} of 127.0.0.1 is in use"):
            serve_command(port=port, store=store.root)


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("0.0.0.0", "add --allow-remote"),
        ("::", "add --allow-remote"),
        ("no.such.host.invalid", "There is no host 'no.such.host.invalid'"),
        ("x" * 70, "There is no host"),
    ],
)
def test_a_host_that_cannot_be_served_on_is_one_clear_error(store, host, says):
    with pytest.raises(UsageError, match=says):
        serve_command(host=host, port=0, store=store.root)


def test_a_device_that_is_not_there_keeps_the_server_from_starting(store):
    with pytest.raises(DeviceError, match="There is no device 'abacus'"):
        serve_command(port=0, store=store.root, device="abacus")


def test_remote_hosts_are_served_on_when_that_is_allowed(store):
    with bind(load_settings(host="0.0.0.0", port=0, store=store.root, allow_remote=True)) as listener:
        assert listener.getsockname()[0] == "0.0.0.0"


def test_flags_win_over_the_environment_and_that_over_defaults(monkeypatch):
    monkeypatch.setenv("SYNTH_PORT", "9000")
    monkeypatch.setenv("SYNTH_QUEUE_LIMIT", "3")
    settings = load_settings(port=9001, host=None)
    assert (settings.port, settings.queue_limit, settings.host) == (9001, 3, "127.0.0.1")


def test_a_bad_setting_is_named_as_the_user_wrote_it(monkeypatch):
    with pytest.raises(ConfigError, match="--port is 70000: Input should be less than"):
        load_settings(port=70000)
    monkeypatch.setenv("SYNTH_DRAIN_SECONDS", "soon")
    with pytest.raises(ConfigError, match="SYNTH_DRAIN_SECONDS is 'soon'"):
        load_settings()
