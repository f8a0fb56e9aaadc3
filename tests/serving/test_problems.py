from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

URL = "/v1/images/generations"


def problem(answer, status: int, code: str) -> str:
    """The detail of a problem, after a check of all else that every problem has."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"] == f"urn:synth:problem:{code}"
    assert body["title"]
    assert body["request_id"] == answer.headers["X-Request-ID"]
    return body["detail"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"cuont": 1}, "There is no field 'cuont' (did you mean 'count'?)"),
        ({"count": 0}, "/count: Input should be greater than or equal to 1, not 0."),
        ({"count": "3"}, "/count: Input should be a valid integer, not '3'."),
        ({"count": True}, "/count: Input should be a valid integer"),
        ({"seed": -1}, "/seed: Input should be greater than or equal to 0"),
        ({"seed": 2**64}, "/seed: Input should be less than or equal to 18446744073709551615"),
        ({"start": 2**63 - 2, "count": 2}, "start + count must not exceed"),
        ({"mode": "slow"}, "/mode: Input should be 'fast' or 'exact', not 'slow'."),
        ({"labels": 1.5}, "/labels: Labels are 'any', 'balanced', a class name or number"),
        ({"labels": [True]}, "/labels: Labels are 'any', 'balanced'"),
        ({"labels": {"cat": -1}}, "/labels: Labels are 'any', 'balanced'"),
        (
            {"parameters": {"temperature": [1]}},
            "/parameters/temperature: A sampling parameter is a finite number or",
        ),
        ({"parameters": {"seed": 1}}, "/parameters: 'seed' is no sampling parameter"),
        ([], "Input should be a valid dictionary or object"),
        (None, "The body is empty"),
    ],
)
def test_a_wrong_field_is_named_with_what_it_should_be(client, body, says):
    answer = client.post(URL, json=body)
    assert says in problem(answer, 422, "invalid-request")


def test_each_wrong_field_is_listed(client):
    answer = client.post(URL, json={"count": 0, "seed": -1})
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/count", "/seed"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"labels": "cta"}, "There is no class 'cta' (did you mean 'cat'?)"),
        ({"labels": 3}, "Label 3 is out of range"),
        ({"labels": {"cat": 10**12}}, "add up to 1000000000000, but 1 samples"),
        ({"labels": ["cat", "dog"]}, "2 labels were given for 1 samples"),
    ],
)
def test_labels_that_do_not_fit_the_model_are_422(client, body, says):
    assert says in problem(client.post(URL, json=body), 422, "invalid-label")


def test_an_unknown_parameter_is_422(client):
    answer = client.post(URL, json={"parameters": {"warmth": 1}})
    assert "Parameters: temperature" in problem(answer, 422, "invalid-request")


def test_json_that_is_broken_is_422_and_undecodable_is_400(client):
    headers = {"Content-Type": "application/json"}
    broken = client.post(URL, content='{"count": ', headers=headers)
    assert "The body is not JSON" in problem(broken, 422, "invalid-request")
    assert "cannot be read" in problem(client.post(URL, content=b"\xff", headers=headers), 400, "bad-request")
    not_a_number = client.post(URL, content='{"parameters": {"temperature": NaN}}', headers=headers)
    assert "finite" in problem(not_a_number, 422, "invalid-request")


@pytest.mark.parametrize("content", [r'{"model": "\ud800"}', r'{"\ud800": 1}', "[" * 100_000, "9" * 5000])
def test_hostile_json_is_refused(client, content):
    answer = client.post(URL, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_body_that_is_not_declared_as_json_is_415(client):
    detail = problem(client.post(URL, data={"count": "1"}), 415, "unsupported-media-type")
    assert "Content-Type: application/json" in detail


def test_an_unknown_model_is_404_with_the_known_ones(client):
    assert "Models: pets" in problem(client.post(URL, json={"model": "pest"}), 404, "not-found")
    assert "Versions: 1" in problem(client.post(URL, json={"model": "pets@2"}), 404, "not-found")
    assert problem(client.post(URL, json={"model": "../pets/1"}), 404, "not-found")
    assert "NAME@3" in problem(client.post(URL, json={"model": "pets@X"}), 422, "invalid-request")


def test_a_path_is_never_opened(client, pets):
    assert problem(client.post(URL, json={"model": str(pets.path)}), 404, "not-found")


def test_the_model_must_be_said_if_there_are_several(pets, serve, store, publish):
    publish(store, "birds")
    client = serve()
    assert "birds, pets" in problem(client.post(URL, json={}), 422, "invalid-request")


def test_an_empty_store_says_how_to_make_a_model(serve):
    client = serve()
    assert "synth train" in problem(client.post(URL, json={}), 404, "not-found")
    assert "synth train" in problem(client.post(URL, json={"model": "pets"}), 404, "not-found")


def test_unknown_paths_and_methods_are_problems(client):
    assert "/docs" in problem(client.get("/v2"), 404, "not-found")
    answer = client.delete(URL)
    assert problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == "POST"


def test_forms_that_cannot_be_are_406(client):
    assert problem(client.post(URL, json={"format": "gif"}), 406, "not-acceptable")
    assert problem(client.post(URL, json={}, headers={"Accept": "text/html"}), 406, "not-acceptable")
    assert problem(client.post(URL, json={"count": 2, "format": "png"}), 422, "invalid-request")


def test_too_much_at_once_is_413_with_advice(pets, serve):
    client = serve(max_images_per_request=10, max_response_bytes=5 * 24, max_body_bytes=1000)
    assert "start 0, 10, 20" in problem(client.post(URL, json={"count": 11}), 413, "too-large")
    assert "Ask for 5 at a time" in problem(client.post(URL, json={"count": 6}), 413, "too-large")
    assert "1,000 bytes" in problem(client.post(URL, json={"labels": "x" * 1000}), 413, "too-large")


def test_an_unforeseen_error_tells_the_client_nothing(pets, serve, caplog):
    def open_generator(artifact):
        raise RuntimeError("the secret")

    answer = serve(open_generator).post(URL, json={}, headers={"X-Request-ID": "mine"})
    assert "secret" not in problem(answer, 500, "internal-error")
    assert answer.json()["request_id"] == "mine"
    assert not [record for record in caplog.records if record.levelno >= logging.CRITICAL]


def test_a_full_queue_is_503_with_retry_after(pets, serve, gate, fake_generator):
    client = serve(lambda artifact: fake_generator(artifact, gate), queue_limit=1)
    with ThreadPoolExecutor(1) as other:
        accepted = other.submit(client.post, URL, json={"seed": 1})
        assert gate.entered.wait(30)
        refused = client.post(URL, json={"seed": 2})
        assert "queue is full" in problem(refused, 503, "overloaded")
        assert int(refused.headers["Retry-After"]) >= 1
        gate.open.set()
        assert accepted.result().status_code == 200
    assert client.post(URL, json={"seed": 2}).status_code == 200


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "<script>"])
def test_an_odd_request_id_is_replaced(client, given):
    answer = client.get("/livez", headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] not in ("", given)


def test_a_sane_request_id_is_kept(client):
    assert client.get("/livez", headers={"X-Request-ID": "run-7/3"}).headers["X-Request-ID"] == "run-7/3"
