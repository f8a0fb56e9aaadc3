"""The same over HTTP, whichever data base the jobs are in."""

from __future__ import annotations

import functools

import pytest
from starlette.testclient import TestClient

from synth.jobs.worker import Worker
from synth.sampling import Sampler
from synth.serving import ServerSettings, create_app


@pytest.fixture
def client(url, store, settings):
    server = ServerSettings(database=url, store=store.root, device="cpu")
    app = create_app(server, open_generator=functools.partial(Sampler, warmup_seconds=0))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def test_a_job_is_made_done_watched_and_fetched(client, url, settings):
    body = {"kind": "generate", "model": "toys", "count": 30, "shard_size": 10, "seed": 2**64 - 1}
    assert [client.put("/v1/jobs/mine", json=body).status_code for _ in range(2)] == [201, 200]
    assert client.put("/v1/jobs/mine", json=body | {"count": 31}).json()["code"] == "job-mismatch"
    assert client.get("/v1/jobs", params={"cursor": 2**63 - 1}).json()["jobs"][0]["id"] == "mine"
    Worker(client.app.state.services.jobs, settings).run(until_idle=True)
    job = client.get("/v1/jobs/mine").json()
    assert (job["state"], job["progress"]["done"], job["request"]["seed"]) == ("succeeded", 30, 2**64 - 1)
    events = client.get("/v1/jobs/mine/events", headers={"Last-Event-ID": "1"}).text
    assert '"state": "running"' in events
    assert '"state": "succeeded"' in events
    archive = client.get(job["archive"])
    assert archive.headers["Content-Length"] == str(len(archive.content))
    assert client.get(job["archive"], headers={"Range": "bytes=-5000"}).content == archive.content[-5000:]
    assert client.get("/v1/jobs/mine/preview").headers["Content-Type"] == "image/png"
