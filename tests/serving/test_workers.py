"""A server with a worker of its own, as processes."""

from __future__ import annotations

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


@pytest.fixture
def server(tiny, tmp_path, synth_home, monkeypatch) -> Iterator[subprocess.Popen[str]]:
    """synth serve, with the model toys and one worker that gives a sign of life ten times a second."""
    tiny.fit(tiny.source(tmp_path / "toys.npz"), name="toys")
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
