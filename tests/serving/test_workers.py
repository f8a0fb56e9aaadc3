"""The workers of a server: processes that are looked after."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from synth.artifacts import Store
from synth.serving import ServerSettings, workers


class Ledger:
    """Stands for the queue: which workers are known to be dead."""

    def __init__(self) -> None:
        self.lapsed: list[str] = []

    def lapse(self, worker: str) -> None:
        self.lapsed.append(worker)


@pytest.fixture
def supervise(tmp_path, monkeypatch):
    """Looks after one worker that runs a script, until ``act`` has ended; what was said, and who died."""
    os.mkfifo(tmp_path / "ready")

    def run(script, act):
        script = f"import os, signal, sys\nready = open({str(tmp_path / 'ready')!r}, 'w')\n{script}"
        monkeypatch.setattr(workers, "_COMMAND", (sys.executable, "-c", script))
        monkeypatch.setattr(workers, "_FIRST_PAUSE", 0.0)
        ledger, said = Ledger(), []

        async def main() -> None:
            looked_after = workers.Workers(ServerSettings(), ledger, said.append)
            looked_after.start()
            await act(looked_after, lambda: asyncio.to_thread((tmp_path / "ready").read_text))

        asyncio.run(main())
        return said, ledger.lapsed

    return run


def test_a_worker_that_dies_loses_its_job_at_once_and_is_started_again(supervise):
    async def twice(looked_after, ready):
        await ready()
        await ready()
        await looked_after.stop(30)

    said, lapsed = supervise("os.kill(os.getpid(), signal.SIGKILL)", twice)
    assert said[0] == "A worker has ended (signal 9); another one starts in 0 s."
    assert len(lapsed) >= 2
    assert len(set(lapsed)) == len(lapsed)


def test_a_worker_that_is_told_to_stop_is_waited_for(supervise):
    async def once(looked_after, ready):
        await ready()
        await looked_after.stop(30)

    script = "signal.pthread_sigmask(signal.SIG_BLOCK, [15]); ready.close(); signal.sigwait([15])"
    assert supervise(script, once) == ([], [])


def test_a_worker_that_does_not_listen_is_killed_in_the_end(supervise):
    async def once(looked_after, ready):
        await ready()
        await looked_after.stop(0.01)

    said, lapsed = supervise("signal.signal(15, signal.SIG_IGN); ready.close(); signal.pause()", once)
    assert (said, len(lapsed)) == ([], 1)


@pytest.fixture
def server(tiny, synth_home, monkeypatch) -> Iterator[subprocess.Popen[str]]:
    """synth serve, with the model toys and one worker that gives a sign of life ten times a second."""
    tiny.untrained(Store())
    monkeypatch.setenv("SYNTH_LEASE_SECONDS", "1")
    monkeypatch.setenv("SYNTH_DEVICE", "cpu")
    monkeypatch.setenv("SYNTH_ACCESS_LOG", "off")
    process = subprocess.Popen(
        [sys.executable, "-m", "synth", "serve", "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.wait()
    process.stderr.close()


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == pid:
                found.append(int(entry.name))
    return found


@pytest.mark.slow
def test_a_job_goes_on_though_its_worker_is_killed_and_the_server_stops_its_workers_in_order(server):
    line = server.stderr.readline()
    url = re.search(r"http://\S+", line).group()
    body = {"kind": "generate", "model": "toys", "count": 600, "shard_size": 3, "format": "webdataset"}
    with httpx2.Client(base_url=url, timeout=60) as client:
        assert client.put("/v1/jobs/mine", json=body).status_code == 201
        seen, killed = [], None
        with client.stream("GET", "/v1/jobs/mine/events") as events:
            for text in events.iter_lines():
                if not text.startswith("data: "):
                    continue
                data = json.loads(text.removeprefix("data: "))
                seen.append(data.get("state", "progress"))
                if killed is None and data.get("done", 0) > 0:
                    (killed,) = children(server.pid)
                    os.kill(killed, signal.SIGKILL)
        assert "A worker has ended (signal 9)" in server.stderr.readline()
        assert [state for state in seen if state != "progress"] == [
            "queued",
            "running",
            "running",
            "succeeded",
        ]
        job = client.get("/v1/jobs/mine").json()
        assert (job["attempt"], job["result"]["count"], job["result"]["files"]) == (2, 600, 200)
        whole = client.get(job["archive"])
        part = client.get(job["archive"], headers={"Range": "bytes=1000-1999"})
        assert (part.status_code, part.content) == (206, whole.content[1000:2000])
        assert client.get("/v1/jobs/mine/preview").content.startswith(b"\x89PNG")
    (worker,) = children(server.pid)
    assert worker != killed
    server.send_signal(signal.SIGTERM)
    assert "Stopping" in server.stderr.readline()
    assert (server.wait(60), server.stderr.read()) == (0, "")
    assert not Path(f"/proc/{worker}").exists()
    assert [model.reference for model in Store().list()] == ["toys@1"]
