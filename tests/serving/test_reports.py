"""``/v1/reports``: what an evaluate job has found."""

from __future__ import annotations

import pytest

from synth.jobs.kinds import KINDS

BODY = {"kind": "evaluate", "real": "digits:train", "holdout": "digits:test", "model": "pets"}


@pytest.fixture
def queue(client):
    return client.app.state.services.jobs


@pytest.fixture
def done(client, queue, synth_home):
    """The id of a job whose report is there."""
    assert client.put("/v1/jobs/mine", json=BODY).status_code == 201
    folder = synth_home / "jobs" / "mine" / "report"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<!doctype html><p>page")
    (folder / "report.json").write_text('{"kind": "synth-report"}')
    queue.succeed(queue.claim("w", KINDS), {"report": "mine"}, None)
    return "mine"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("application/json", "application/json"),
    ],
)
def test_accept_picks_the_page_or_json(client, done, accept, media_type):
    answer = client.get(f"/v1/reports/{done}", headers={} if accept is None else {"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].partition(";")[0] == media_type
    assert ("page" in answer.text) == (media_type == "text/html")


def test_the_page_may_run_and_fetch_nothing(client, done):
    headers = client.get(f"/v1/reports/{done}", headers={"Accept": "text/html"}).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert "sandbox" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_no_other_form_is_made(client, done):
    assert client.get(f"/v1/reports/{done}", headers={"Accept": "image/png"}).status_code == 406


def test_what_has_no_report_is_404(client, queue, done, synth_home):
    client.put("/v1/jobs/waiting", json=BODY)
    (synth_home / "jobs" / "mine" / "report" / "report.json").unlink()
    for id, says in [("nobody", "There is no job"), ("waiting", "is queued"), ("mine", "no longer there")]:
        answer = client.get(f"/v1/reports/{id}")
        assert (answer.status_code, says in answer.json()["detail"]) == (404, True), id


def test_the_job_pins_its_model_and_tells_where_its_report_is(client, done):
    job = client.get(f"/v1/jobs/{done}").json()
    assert job["pinned"]["model"] == "pets@1"
    assert (job["report"], job["archive"]) == ("/v1/reports/mine", None)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"real": "/etc"}, "There is no built-in data set"),
        ({"holdout": "photos.npz:test"}, "Servers open nothing else"),
        ({"model": None}, "Set either model, or dataset"),
        ({"dataset": "x"}, "Set either model, or dataset"),
        ({"model": "../pets"}, "There is no model"),
        ({"encoder": "dinov2:/etc/passwd"}, ""),
        ({"seeds": 0}, "/seeds: "),
        ({"model": None, "dataset": "nobody"}, "There is no job 'nobody'"),
    ],
)
def test_only_names_are_taken(client, change, says):
    answer = client.put("/v1/jobs/other", json=BODY | change)
    assert answer.status_code in (404, 422)
    assert says in answer.json()["detail"]
