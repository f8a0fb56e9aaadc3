"""The OpenAPI description is complete, and the server keeps to it."""

from __future__ import annotations

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import CHECKS

import synth.serving
from synth.errors import SynthError
from synth.serving.problem_table import EXAMPLES

CHECKED = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
]


@pytest.fixture
def description(client) -> dict:
    return client.get("/openapi.json").json()


def operations(description: dict):
    for path, item in description["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def test_every_operation_says_what_it_is_and_how_it_may_fail(description):
    names = [operation["operationId"] for _, operation in operations(description)]
    assert len(set(names)) == len(names)
    for name, operation in operations(description):
        assert operation["description"], name
        assert operation["tags"], name
        assert {"421", "500"} <= operation["responses"].keys(), name
        assert {"200", "201"} & operation["responses"].keys(), name
        assert ("403" in operation["responses"]) == (not name.startswith("GET")), name
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= operation["responses"].keys(), name
        for status, response in operation["responses"].items():
            assert "X-Request-ID" in response["headers"], (name, status)
            if status >= "400":
                [(media_type, content)] = response["content"].items()
                assert media_type == "application/problem+json"
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, (name, status)


def test_keys_are_asked_for_everywhere_but_by_probes(description):
    assert description["components"]["securitySchemes"].keys() == {"bearer", "api_key"}
    open_to_all = {
        name
        for name, operation in operations(description)
        if not operation.get("security", description["security"])
    }
    assert open_to_all == {"GET /livez", "GET /readyz"}
    for name, operation in operations(description):
        assert ("401" in operation["responses"]) == (name not in open_to_all)


def test_tags_are_explained(description):
    used = {tag for _, operation in operations(description) for tag in operation["tags"]}
    assert {tag["name"] for tag in description["tags"] if tag["description"]} == used


def test_every_error_of_the_server_has_an_example(description):
    def below(error: type[SynthError]) -> set[type[SynthError]]:
        return {error}.union(*(below(child) for child in error.__subclasses__()))

    ours = {error for error in below(SynthError) if error.__module__.startswith(synth.serving.__name__)}
    missing = ours - {error for error, _ in EXAMPLES}
    assert not missing, "to be added to synth/serving/problem_table.py"


def test_examples_of_requests_are_accepted_and_the_answer_looks_like_its_example(
    description, client, store, publish
):
    publish(store, "fashion", classes=["coat", "bag"])
    publish(store, "fashion", classes=["coat", "bag"])
    publish(store, "fashion", classes=["coat", "bag"])
    operation = description["paths"]["/v1/images/generations"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    forms = set()
    for example in examples.values():
        answer = client.post("/v1/images/generations", json={"model": "fashion", **example["value"]})
        assert answer.status_code == 200, answer.text
        forms.add(answer.headers["Content-Type"].partition(";")[0])
    told = operation["responses"]["200"]["content"]
    assert forms == told.keys()
    made = client.post("/v1/images/generations", json={"model": "fashion", "format": "json"}).json()
    shown = told["application/json"]["example"]
    assert made.keys() == shown.keys()
    assert made["data"][0].keys() == shown["data"][0].keys()
    assert made["fingerprint"].keys() == shown["fingerprint"].keys()


def known(case: schemathesis.Case) -> schemathesis.Case:
    """The same for the model that there is."""
    there = {"name": "pets", "version": 1, "id": "mine"}
    if "model" in (case.query or {}):
        case.query = {**case.query, "model": "pets"}
    case.path_parameters = {name: there.get(name, value) for name, value in case.path_parameters.items()}
    if case.operation.path == "/v1/images/generations" and isinstance(case.body, dict):
        case.body = {**case.body, "model": "pets", "parameters": {}, "labels": "any"}
    return case


def bounded(case: schemathesis.Case) -> schemathesis.Case:
    """The same without a deadline that the server could not keep, and with an end where there is none."""
    if case.headers and _is_number(case.headers.get("X-Synth-Deadline-Seconds")):
        del case.headers["X-Synth-Deadline-Seconds"]
    if case.path == "/v1/stream":
        count = (case.query or {}).get("count", 3)
        count = min(int(count), 50) if str(count).isdecimal() else count
        case.query = {**(case.query or {}), "count": count}
    return case


def _is_number(text: object) -> bool:
    try:
        return float(str(text)) > 0
    except ValueError:
        return False


def explore(address: str, examples: int) -> None:
    """Ask for what the description allows, and for what it forbids, and hold the answers against it."""
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    checks = CHECKS.get_by_names(CHECKED)
    for result in schema.get_all_operations():
        operation = result.ok()
        fitting, spoiled = (
            operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode
        )

        @hypothesis.given(
            case=hypothesis.strategies.one_of(fitting, fitting.map(known), spoiled).map(bounded)
        )
        @hypothesis.settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        def ask(case) -> None:
            case.call_and_validate(base_url=address, checks=checks)

        ask()


def test_the_server_keeps_to_its_description(listen, pets):
    explore(listen(max_images_per_request=64, event_stream_seconds=0.001), 40)


@pytest.mark.slow
def test_the_server_keeps_to_its_description_whatever_it_is_asked(listen, pets):
    explore(listen(max_images_per_request=64, event_stream_seconds=0.001), 2000)
