from __future__ import annotations

import pytest

from synth.errors import UsageError
from synth.serving.keys import KeyFile
from synth.serving.server import bind
from synth.serving.settings import load_settings

URL = "/v1/models"


@pytest.fixture
def keys(store, pets) -> KeyFile:
    return KeyFile(store.root / "keys.json")


def test_without_keys_anybody_on_this_machine_gets_in(client):
    answer = client.get(URL)
    assert answer.status_code == 200
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_with_keys_only_their_holders_get_in(keys, serve):
    _, token = keys.create("lab")
    client = serve()
    for headers in ({}, {"X-API-Key": "sk_x"}, {"Authorization": "Basic abc"}, {"X-API-Key": token[:-1]}):
        answer = client.get(URL, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="synth"'
        assert answer.json()["code"] == "unauthorized"
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert client.get(URL, headers={"X-API-Key": token}).status_code == 200
    assert client.get(URL, headers={"Authorization": f"bearer {token}"}).status_code == 200
    assert client.get("/livez").status_code == client.get("/readyz").status_code == 200


def test_the_first_key_closes_a_running_server_and_a_lost_file_does_not_open_it(keys, client):
    assert client.get(URL).status_code == 200
    _, token = keys.create("lab")
    assert client.get(URL).status_code == 401
    keys.revoke("lab")
    assert client.get(URL, headers={"X-API-Key": token}).status_code == 401
    keys.path.unlink()
    assert client.get(URL).status_code == 401


def test_keys_that_cannot_be_read_let_nobody_in_and_are_told_to_the_log_alone(keys, serve, caplog):
    _, token = keys.create("lab")
    client = serve()
    keys.path.write_text("{")
    answer = client.get(URL, headers={"X-API-Key": token})
    assert (answer.status_code, answer.json()["code"]) == (503, "unusable-keys")
    assert str(keys.path) not in answer.text
    assert "is damaged" in caplog.text


def test_another_host_name_is_refused_without_keys(client, serve):
    answer = client.get(URL, headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (421, "misdirected-request")
    for host in ("127.0.0.1:8000", "[::1]:8000", "localhost"):
        assert client.get(URL, headers={"Host": host}).status_code == 200
    assert serve(allowed_hosts="lab.example").get(URL, headers={"Host": "lab.example"}).status_code == 200


def test_pages_of_other_origins_may_not_ask_without_keys(client, serve):
    url = "/v1/images/generations"
    for origin in ("https://evil.example", "null", "http://["):
        answer = client.post(url, json={}, headers={"Origin": origin})
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign-origin")
    assert client.post(url, json={}, headers={"Origin": "http://localhost"}).status_code == 200
    assert "Access-Control-Allow-Origin" not in client.get(URL, headers={"Origin": "https://a.b"}).headers
    opened = serve(allowed_origins="https://a.b").get(URL, headers={"Origin": "https://a.b"})
    assert opened.headers["Access-Control-Allow-Origin"] == "https://a.b"


def test_with_a_key_a_server_may_listen_for_other_machines(keys, store):
    settings = load_settings(host="0.0.0.0", port=0, store=store.root, keys=keys.path)
    with pytest.raises(UsageError, match="synth keys create"):
        bind(settings)
    keys.create("lab")
    bind(settings).close()
