from __future__ import annotations

URL = "/v1/images/generations"


def test_a_request_needs_no_field_at_all(client):
    answer = client.post(URL, json={})
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["X-Synth-Shape"] == "1,4,6,1"


def test_the_server_draws_a_seed_and_tells_it(client):
    first, second = (client.post(URL, json={"count": 4, "format": "raw"}) for _ in range(2))
    seed = int(first.headers["X-Synth-Seed"])
    assert seed != int(second.headers["X-Synth-Seed"])
    assert seed < 2**53
    again = client.post(URL, json={"count": 4, "format": "raw", "seed": seed})
    assert again.content == first.content


def test_slices_of_a_request_are_the_request(client):
    ask = {"count": 6, "format": "raw", "seed": 3, "labels": "balanced"}
    whole = client.post(URL, json=ask).content
    parts = [client.post(URL, json=ask | {"count": 3, "start": start}).content for start in (0, 3)]
    assert b"".join(parts) == whole


def test_labels_are_given_by_name_number_count_or_list(client):
    for labels, numbers in [
        ("dog", "1,1,1"),
        (2, "2,2,2"),
        ({"owl": 1, "cat": 2}, "2,0,0"),
        ("owl=1,cat=2", "2,0,0"),
        (["dog", 0, "owl"], "1,0,2"),
    ]:
        answer = client.post(URL, json={"count": 3, "labels": labels})
        assert answer.headers["X-Synth-Labels"] == numbers


def test_mode_and_parameters_reach_the_generator(client):
    answer = client.post(URL, json={"mode": "exact", "parameters": {"temperature": 0.5}, "format": "json"})
    assert answer.json()["fingerprint"]["mode"] == "exact"
    assert answer.json()["parameters"] == {"temperature": 0.5}


def test_the_largest_seed_and_index_are_taken(client):
    answer = client.post(URL, json={"seed": 2**64 - 1, "start": 2**63 - 2, "format": "json"})
    assert (answer.json()["seed"], answer.json()["start"]) == (2**64 - 1, 2**63 - 2)


def test_the_description_tells_forms_errors_and_examples(client):
    description = client.get("/openapi.json").json()
    route = description["paths"][URL]["post"]
    assert set(route["responses"]["200"]["content"]) == {
        "image/png",
        "application/json",
        "application/x-tar",
        "application/x-npz",
        "application/octet-stream",
        "multipart/mixed",
    }
    assert {"404", "406", "413", "415", "422", "500", "503"} <= set(route["responses"])
    assert "Retry-After" in route["responses"]["503"]["headers"]
    assert route["requestBody"]["content"]["application/json"]["examples"]["balanced"]
    for path in description["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                if status >= "400":
                    assert list(answer["content"]) == ["application/problem+json"]


def test_every_reference_of_the_description_leads_somewhere(client):
    description = client.get("/openapi.json").json()
    wanted = set()

    def collect(node: object) -> None:
        if isinstance(node, dict):
            wanted.update([node["$ref"]] if "$ref" in node else [])
            for child in node.values():
                collect(child)
        elif isinstance(node, list):
            for child in node:
                collect(child)

    collect(description)
    assert wanted
    assert wanted <= {f"#/components/schemas/{name}" for name in description["components"]["schemas"]}
