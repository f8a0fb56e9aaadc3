"""Jobs over HTTP, with a worker that the test plays."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from synth.jobs.kinds import KINDS
from synth.serving import job_events

JOBS = "/v1/jobs"
BODY = {"kind": "generate", "model": "pets", "count": 12, "labels": {"owl": 10, "cat": 2}}
TRAIN = {"kind": "train", "family": "vae", "data": "digits", "name": "figures", "images_seen": 100}


@pytest.fixture
def queue(client):
    return client.app.state.services.jobs


def test_a_job_is_made_once_under_the_clients_id_and_pins_the_model(client, store, publish):
    made = client.put(f"{JOBS}/mine", json=BODY)
    assert (made.status_code, made.headers["Location"]) == (201, "/v1/jobs/mine")
    publish(store, "pets")
    again = client.put(f"{JOBS}/mine", json=BODY)
    assert (again.status_code, again.json()) == (200, made.json())
    job = made.json()
    assert (job["state"], job["kind"], job["pinned"]["model"]) == ("queued", "generate", "pets@1")
    assert job["request"] | {"labels": None} == {
        "kind": "generate", "model": "pets", "count": 12, "labels": None, "seed": 0, "start": 0,
        "mode": "fast", "parameters": {}, "format": "imagefolder", "image_format": "png", "quality": 95,
        "shard_size": 1000,
    }  # fmt: skip
    assert client.get(f"{JOBS}/mine").json() == job


@pytest.mark.parametrize("change", [{"count": 13}, {"seed": 1}, {"labels": {"cat": 2, "owl": 10}}])
def test_the_same_id_with_another_body_is_refused_by_its_code(client, change):
    client.put(f"{JOBS}/mine", json=BODY)
    other = client.put(f"{JOBS}/mine", json=BODY | change)
    assert (other.status_code, other.json()["code"]) == (422, "job-mismatch")
    assert client.put(f"{JOBS}/mine", json=TRAIN).json()["code"] == "job-mismatch"


def test_defaults_written_out_are_the_same_body(client):
    client.put(f"{JOBS}/mine", json=BODY)
    assert client.put(f"{JOBS}/mine", json=BODY | {"seed": 0, "format": "imagefolder"}).status_code == 200


def test_post_makes_a_job_with_each_call(client):
    first, second = (client.post(JOBS, json=TRAIN) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.headers["Location"] == f"/v1/jobs/{first.json()['id']}" != second.headers["Location"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "/kind: Say which kind of job"),
        ({"kind": "trian"}, "did you mean 'train'"),
        (BODY | {"model": "pest"}, "There is no model 'pest'"),
        (BODY | {"model": "/etc/passwd"}, "There is no model"),
        (BODY | {"model": "../pets/1"}, "There is no model"),
        (BODY | {"count": 0}, "/count: "),
        (BODY | {"count": "12"}, "/count: "),
        (BODY | {"labels": {"owl": 1}}, "The label counts add up to 1, but 12"),
        (BODY | {"labels": "wolf"}, "There is no class 'wolf'"),
        (BODY | {"labels": ["cat"]}, "1 labels were given for 12"),
        (BODY | {"format": "npz", "image_format": "jpeg"}, "go with imagefolder or webdataset"),
        (BODY | {"out": "/tmp/x"}, "There is no field 'out'"),
        (BODY | {"start": 2**63 - 5}, "start + count must not exceed"),
        (TRAIN | {"data": "/etc"}, "There is no built-in data set of that name"),
        (TRAIN | {"data": "https://example.org/x.npz"}, "Servers open nothing else"),
        (TRAIN | {"data": "file.npz:test"}, "There is no built-in data set of that name"),
        (TRAIN | {"data": None}, "Set either data"),
        (TRAIN | {"dataset": "x"}, "Set either data"),
        (TRAIN | {"data": None, "dataset": "../x"}, "/dataset: "),
        (TRAIN | {"data": None, "dataset": "nobody"}, "There is no job 'nobody'"),
        (TRAIN | {"name": "../x"}, "A model cannot be called"),
        (TRAIN | {"family": "gna"}, "There is no family 'gna'"),
        (TRAIN | {"minutes": 3}, "Set either minutes or images_seen"),
        (TRAIN | {"settings": {"size": {"a": 1}}}, "/settings/size: A setting is a number"),
        (TRAIN | {"settings": {"minutes": 3}}, "Set minutes as a field"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_with_a_remedy_and_makes_no_job(client, body, says):
    answer = client.put(f"{JOBS}/mine", json=body)
    assert answer.status_code == (404 if says.startswith(("There is no model", "There is no job")) else 422)
    assert says in answer.json()["detail"]
    assert client.get(f"{JOBS}/mine").status_code == 404


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422), (b"[]", 422), (b"{", 422), (b'"text"', 422), (b'{"kind": NaN}', 422),
        (b'{"kind": ["train"]}', 422),
        (json.dumps(TRAIN | {"settings": {"x": float("nan")}}).encode(), 422),
        (json.dumps(TRAIN | {"settings": {"x": "\ud800"}}).encode(), 422),
        (json.dumps(BODY | {"labels": "\ud800\0"}).encode(), 422),
        (b"[" * 100_000, 400), (b'{"a":' * 5_000, 400), (b"x" * 2**21, 413),
    ],
)  # fmt: skip
def test_malformed_bodies_are_problems(client, content, status):
    answer = client.put(f"{JOBS}/mine", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")


@pytest.mark.parametrize("id", ["-x", "a.b", "a" * 65, "%C3%A9", "a%00", "a%0A"])
def test_ids_that_could_be_paths_are_refused(client, id):
    for answer in (client.put(f"{JOBS}/{id}", json=BODY), client.get(f"{JOBS}/{id}")):
        assert answer.status_code == 422


def test_more_images_than_a_job_may_make_are_refused(pets, serve):
    answer = serve(max_images_per_job=11).post(JOBS, json=BODY)
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert "start 0, 11, 22" in answer.json()["detail"]


def test_no_more_jobs_are_taken_than_may_be_open(pets, serve):
    client = serve(max_open_jobs=1)
    client.put(f"{JOBS}/a", json=BODY)
    refused = client.put(f"{JOBS}/b", json=BODY)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "30")
    assert client.put(f"{JOBS}/a", json=BODY).status_code == 200


def test_images_of_jobs_count_towards_the_quota_once(pets, serve):
    client = serve(quota=20)
    assert client.put(f"{JOBS}/a", json=BODY).status_code == 201
    assert client.put(f"{JOBS}/a", json=BODY).status_code == 200
    assert client.put(f"{JOBS}/b", json=BODY).status_code == 429


def test_jobs_are_listed_in_pages_and_by_state_and_kind(client):
    for number in range(5):
        client.put(f"{JOBS}/job{number}", json=TRAIN if number == 2 else BODY)
    client.post(f"{JOBS}/job1/cancel")
    seen, cursor = [], None
    while True:
        page = client.get(JOBS, params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen.append([job["id"] for job in page["jobs"]])
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [["job4", "job3"], ["job2", "job1"], ["job0"]]
    ids = [job["id"] for job in client.get(f"{JOBS}?state=queued&kind=generate").json()["jobs"]]
    assert ids == ["job4", "job3", "job0"]
    assert client.get(f"{JOBS}?state=cancelled&kind=train").json() == {"jobs": [], "next": None}
    assert client.get(f"{JOBS}?kind=bake").status_code == 404
    for query in ("state=lost", "limit=0", "limit=201", "cursor=0", "cursor=9223372036854775808", "cursor=x"):
        assert client.get(f"{JOBS}?{query}").status_code == 422


def test_unknown_jobs_are_404_on_every_route(client):
    for method, path in [
        ("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("POST", "/retry"), ("GET", "/events"),
        ("GET", "/preview"),
    ]:  # fmt: skip
        answer = client.request(method, f"{JOBS}/nobody{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_cancel_and_delete_stop_a_job_and_may_be_repeated(client, queue):
    client.put(f"{JOBS}/a", json=BODY)
    client.put(f"{JOBS}/b", json=BODY)
    running = queue.claim("w", KINDS)
    assert client.post(f"{JOBS}/a/cancel").json()["cancelling"] is True
    queue.stopped(running)
    assert client.post(f"{JOBS}/a/cancel").json()["state"] == "cancelled"
    assert client.delete(f"{JOBS}/b").json()["state"] == "cancelled"
    assert client.post(f"{JOBS}/b/retry").json()["state"] == "queued"
    assert client.post(f"{JOBS}/b/retry").status_code == 422


def test_a_job_is_told_as_its_worker_tells_it(client, queue):
    client.put(f"{JOBS}/a", json=BODY)
    job = queue.claim("w", KINDS)
    progress = {
        "done": 6, "total": 12, "share": 0.5, "images_per_second": 3.0, "eta_seconds": 2.0, "figures": {},
    }  # fmt: skip
    queue.heartbeat(job, progress)
    shown = client.get(f"{JOBS}/a").json()
    assert (shown["state"], shown["attempt"], shown["progress"]) == ("running", 1, progress)
    assert shown["started"].endswith("Z")
    queue.fail(job, {"code": "storage-failed", "title": "Storage failed", "detail": "The disk is full."})
    assert client.get(f"{JOBS}/a").json()["error"]["detail"] == "The disk is full."


def test_a_preview_is_a_picture_once_there_is_one(client, queue, synth_home):
    client.put(f"{JOBS}/a", json=BODY)
    assert "no preview yet" in client.get(f"{JOBS}/a/preview").json()["detail"]
    (synth_home / "jobs" / "a").mkdir(parents=True)
    (synth_home / "jobs" / "a" / "preview.png").write_bytes(b"\x89PNG")
    answer = client.get(f"{JOBS}/a/preview")
    assert (answer.content, answer.headers["Content-Type"]) == (b"\x89PNG", "image/png")


def test_a_locked_data_base_is_503_and_images_are_served_all_the_same(client, queue, synth_home):
    client.put(f"{JOBS}/a", json=BODY)
    queue.database.close()
    queue.database._busy_seconds = 0.05
    blocker = sqlite3.connect(synth_home / "jobs.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    for answer in (client.put(f"{JOBS}/b", json=BODY), client.post(f"{JOBS}/a/cancel")):
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        assert answer.headers["Retry-After"]
    assert client.get(f"{JOBS}/a").status_code == 200  # readers need not wait
    assert client.post("/v1/images/generations", json={}).status_code == 200
    blocker.close()
    assert client.put(f"{JOBS}/b", json=BODY).status_code == 201


def test_a_damaged_data_base_is_507_and_images_are_served_all_the_same(pets, serve, synth_home):
    synth_home.mkdir()
    (synth_home / "jobs.db").write_text("no data base " * 99)
    client = serve()
    assert client.get(JOBS).status_code == 507
    assert client.get("/readyz").status_code == 200


def read_events(text):
    """(id, event, data) of each, and the comments."""
    events, comments = [], []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        comments += [line for line in block.splitlines() if line.startswith(":")]
        if "data" in fields:
            events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return events, comments


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(job_events, "_POLL_SECONDS", 0.01)


def test_the_events_of_an_ended_job_end_and_go_on_after_the_last_one_seen(client, queue):
    client.put(f"{JOBS}/a", json=BODY)
    job = queue.claim("w", KINDS)
    queue.heartbeat(job, {"done": 6})
    queue.succeed(job, {"dataset": "a"}, None)
    answer = client.get(f"{JOBS}/a/events")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["Cache-Control"] == "no-cache"
    events, _ = read_events(answer.text)
    assert [(id, event) for id, event, _ in events] == [
        (1, "state"), (2, "state"), (3, "progress"), (4, "state"),
    ]  # fmt: skip
    assert (events[2][2]["done"], events[3][2]["result"]) == (6, {"dataset": "a"})
    for seen, left in [("2", [3, 4]), ("4", []), ("99", []), ("x", [1, 2, 3, 4]), ("9" * 30, [1, 2, 3, 4])]:
        again = client.get(f"{JOBS}/a/events", headers={"Last-Event-ID": seen})
        assert [id for id, _, _ in read_events(again.text)[0]] == left


def test_events_come_as_they_happen_with_comments_in_between(client, queue, quick, monkeypatch):
    monkeypatch.setattr(job_events, "_SILENT_POLLS", 2)
    client.put(f"{JOBS}/a", json=BODY)
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(client.get, f"{JOBS}/a/events")
        asked = queue.events
        seen = []

        def events(id, *, after):
            answer = asked(id, after=after)
            seen.append(after)
            if len(seen) == 6:  # the client has seen all there was, and waits
                job = queue.claim("w", KINDS)
                queue.heartbeat(job, {"done": 3})
                queue.fail(job, {"code": "x", "title": "x", "detail": "no"})
            return answer

        monkeypatch.setattr(queue, "events", events)
        told, comments = read_events(watching.result(30).text)
    assert [event for _, event, _ in told] == ["state", "state", "progress", "state"]
    assert told[-1][2]["error"]["detail"] == "no"
    assert comments


def test_a_stream_of_events_outlives_a_locked_data_base(client, queue, quick, monkeypatch):
    from synth.errors import OverloadError

    client.put(f"{JOBS}/a", json=BODY)
    asked, calls = queue.events, []

    def events(id, *, after):
        calls.append(after)
        if len(calls) in (2, 3):
            raise OverloadError("locked")
        if len(calls) == 4:
            queue.cancel("a")
        return asked(id, after=after)

    monkeypatch.setattr(queue, "events", events)
    told, _ = read_events(client.get(f"{JOBS}/a/events").text)
    assert [data["state"] for _, _, data in told] == ["queued", "cancelled"]


def test_streams_of_events_end_when_the_server_stops(client, queue, quick, monkeypatch):
    client.put(f"{JOBS}/a", json=BODY)
    engine = client.app.state.services.engine
    monkeypatch.setattr(type(engine), "state", property(lambda self: "draining"))
    assert len(read_events(client.get(f"{JOBS}/a/events").text)[0]) == 1


def test_a_stream_of_events_ends_after_a_while_for_its_client_to_come_back(pets, serve):
    client = serve(event_stream_seconds=0.001)
    client.put(f"{JOBS}/a", json=BODY)
    assert len(read_events(client.get(f"{JOBS}/a/events").text)[0]) == 1


def test_a_client_that_goes_away_ends_its_stream_of_events(client, queue, quick):
    client.put(f"{JOBS}/a", json=BODY)
    services = client.app.state.services
    sent = []

    async def watch() -> None:
        async def receive():
            while len(sent) < 3:
                await asyncio.sleep(0)
            assert services.watchers._value == before - 1
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http", "method": "GET", "path": f"{JOBS}/a/events", "query_string": b"",
            "app": client.app, "headers": [(b"host", b"localhost")],
            "asgi": {"version": "3.0", "spec_version": "2.3"},
        }  # fmt: skip
        await client.app(scope, receive, send)

    before = services.watchers._value
    asyncio.run(watch())
    assert services.watchers._value == before


def test_no_more_clients_may_watch_than_the_data_base_bears(client, queue):
    client.put(f"{JOBS}/a", json=BODY)
    client.delete(f"{JOBS}/a")
    watchers = client.app.state.services.watchers
    held, watchers._value = watchers._value, 0
    assert client.get(f"{JOBS}/a/events").status_code == 503
    watchers._value = held
    assert client.get(f"{JOBS}/a/events").status_code == 200


def test_the_description_tells_the_bodies_of_all_kinds(client):
    description = client.get("/openapi.json").json()
    for path, method in [(JOBS, "post"), (f"{JOBS}/{{id}}", "put")]:
        body = description["paths"][path][method]["requestBody"]["content"]["application/json"]
        assert set(body["schema"]["discriminator"]["mapping"]) == set(KINDS) == set(body["examples"])
    assert set(description["components"]["schemas"]["GenerateBody"]["required"]) == {"kind", "model", "count"}
