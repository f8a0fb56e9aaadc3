from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client.parser import text_string_to_metric_families

from synth.errors import ArtifactError
from synth.serving.metrics import Metrics

URL = "/v1/images/generations"


class Scrape:
    """What /metrics tells, by name and labels."""

    def __init__(self, client) -> None:
        answer = client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        self.families = {family.name: family for family in text_string_to_metric_families(answer.text)}
        self.samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.samples.get((name, tuple(sorted(labels.items()))))


def test_what_was_made_and_sent_is_counted(client):
    answers = [client.post(URL, json={"count": 5, "format": form}) for form in ("tar", "raw", "raw")]
    metrics = Scrape(client)
    assert metrics("synth_images_total") == 15
    assert metrics("synth_device_seconds_total") > 0
    assert (metrics("synth_batch_samples_count"), metrics("synth_batch_samples_sum")) == (3, 15)
    assert metrics("synth_wait_seconds_count") == 3
    assert metrics("synth_encode_seconds_count", form="raw") == 2
    assert metrics("synth_encode_seconds_count", form="tar") == 1
    made = {"method": "POST", "route": URL, "status": "200"}
    assert metrics("synth_http_request_seconds_count", **made) == 3
    assert metrics("synth_http_request_seconds_bucket", **made, le="+Inf") == 3
    assert metrics("synth_http_response_bytes_total") == sum(len(answer.content) for answer in answers)
    assert metrics("synth_models_loaded") == metrics("synth_model_load_seconds_count") == 1
    assert metrics("synth_model_bytes", model="pets@1") > 0
    assert metrics("synth_bytes_in_flight") == metrics("synth_queue_samples") == 0
    assert metrics("process_resident_memory_bytes") > 0


def test_what_waits_is_shown(pets, serve, gate, fake_generator):
    client = serve(lambda artifact: fake_generator(artifact, gate))
    with ThreadPoolExecutor(1) as other:
        accepted = other.submit(client.post, URL, json={"count": 7})
        assert gate.entered.wait(30)
        metrics = Scrape(client)
        assert metrics("synth_queue_requests") == 1
        assert 0 < metrics("synth_bytes_in_flight") < metrics("synth_bytes_in_flight_limit")
        gate.open.set()
        assert accepted.result().status_code == 200


def test_problems_are_counted_by_their_codes(client):
    client.post(URL, json={"count": 0})
    client.get(URL, headers={"Host": "evil.example"})
    client.post(URL, json={"model": "pest"})
    metrics = Scrape(client)
    assert metrics("synth_problems_total", code="invalid-request", status="422") == 1
    assert metrics("synth_problems_total", code="misdirected-request", status="421") == 1
    assert metrics("synth_problems_total", code="not-found", status="404") == 1


@pytest.mark.parametrize(("raised", "code", "status"), [
    (ArtifactError("spoiled"), "damaged-artifact", "503"), (RuntimeError("no"), "internal-error", "500"),
])  # fmt: skip
def test_models_that_cannot_be_loaded_are_counted(pets, serve, raised, code, status):
    def open_generator(artifact):
        raise raised

    client = serve(open_generator)
    client.post(URL, json={})
    metrics = Scrape(client)
    assert metrics("synth_model_load_failures_total") == 1
    assert metrics("synth_models_loaded") == 0
    assert metrics("synth_problems_total", code=code, status=status) == 1
    assert metrics("synth_http_request_seconds_count", method="POST", route=URL, status=status) == 1


def test_what_clients_invent_makes_no_new_series(client):
    for number in range(20):
        client.get(f"/v1/models/name{number}")
        client.get(f"/nothing/{number}")
        client.request(f"METHOD{number}", "/livez")
    counts = {
        labels: value
        for (name, labels), value in Scrape(client).samples.items()
        if name == "synth_http_request_seconds_count"
    }
    assert counts == {
        (("method", "GET"), ("route", "/v1/models/{name}"), ("status", "404")): 20,
        (("method", "GET"), ("route", "(unmatched)"), ("status", "404")): 20,
        (("method", "other"), ("route", "/livez"), ("status", "405")): 20,
    }


def test_each_application_counts_for_itself(pets, serve):
    first, second = serve(), serve()
    first.post(URL, json={})
    assert (Scrape(first)("synth_images_total"), Scrape(second)("synth_images_total")) == (1, 0)


def test_names_are_those_that_prometheus_recommends(client):
    client.post(URL, json={})
    for name, family in Scrape(client).families.items():
        if name.startswith("synth_"):
            assert family.documentation.endswith("."), name
            assert family.type != "unknown", name
            assert not name.endswith(("_milliseconds", "_ms", "_mb")), name


def test_what_is_known_elsewhere_is_read_when_it_is_asked_for():
    metrics, jobs = Metrics(), {"queued": 2.0}
    metrics.read("gauge", "synth_jobs", "Jobs.", lambda: jobs, label="state")
    assert b'synth_jobs{state="queued"} 2.0' in metrics.text()
    jobs["running"] = 1.0
    assert b'synth_jobs{state="running"} 1.0' in metrics.text()


def test_metrics_need_a_key_unless_they_are_open(pets, serve, tmp_path):
    from synth.serving.keys import KeyFile

    keys = KeyFile(tmp_path / "keys.json")
    _, token = keys.create("prometheus")
    closed, opened = serve(keys=keys.path), serve(keys=keys.path, open_metrics=True)
    assert closed.get("/metrics").status_code == 401
    assert closed.get("/metrics", headers={"X-API-Key": token}).status_code == 200
    assert opened.get("/metrics").status_code == 200


def test_jobs_are_counted_by_state(client):
    for number in range(3):
        client.put(f"/v1/jobs/job{number}", json={"kind": "generate", "model": "pets", "count": 2})
    client.post("/v1/jobs/job0/cancel")
    metrics = Scrape(client)
    assert (metrics("synth_jobs", state="queued"), metrics("synth_jobs", state="cancelled")) == (2, 1)
