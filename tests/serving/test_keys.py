from __future__ import annotations

import hmac
import stat

import pytest

from synth.errors import ConfigError, NotFoundError
from synth.serving.keys import KeyFile, KeyFileError


@pytest.fixture
def keys(tmp_path) -> KeyFile:
    return KeyFile(tmp_path / "home" / "keys.json")


def test_a_key_is_found_by_its_token_and_the_file_never_holds_it(keys):
    key, token = keys.create("lab", rate="5/minute", quota=10)
    assert token.startswith(f"sk_{key.id}_")
    assert len(token.split("_", 2)[2]) == 43
    assert keys.find(token) == key
    assert token.split("_", 2)[2] not in keys.path.read_text()
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "wrong", [lambda t: t[:-1], lambda t: t + "x", lambda t: "", lambda t: "sk_", lambda t: t * 99]
)
def test_what_is_not_exactly_the_token_is_no_key(keys, wrong):
    _, token = keys.create("lab")
    assert keys.find(wrong(token)) is None
    assert keys.find("\udcff" + token) is None


def test_digests_are_compared_in_constant_time_also_for_unknown_ids(keys, monkeypatch):
    _, token = keys.create("lab")
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    keys.find(token)
    keys.find("sk_000000000000_x")
    assert [len(digest) for pair in compared for digest in pair] == [64] * 4


def test_another_process_sees_new_and_revoked_keys_at_once(keys):
    other = KeyFile(keys.path)
    _, token = keys.create("lab")
    assert other.find(token) is not None
    keys.revoke("lab")
    assert other.find(token) is None


def test_names_are_unique_and_a_bad_rate_or_name_is_one_clear_error(keys):
    keys.create("lab")
    with pytest.raises(ConfigError, match="There is a key 'lab' already"):
        keys.create("lab")
    with pytest.raises(ConfigError, match=r"rate of the key is 'often'.*100/minute"):
        keys.create("a", rate="often")
    with pytest.raises(ConfigError, match="name of the key"):
        keys.create("two\nlines")
    with pytest.raises(NotFoundError, match="did you mean 'lab'"):
        keys.revoke("lap")


@pytest.mark.parametrize("content", ["", "{", '{"keys": [{"id": 1}]}', '{"schema_version": 2}', "\x00"])
def test_a_damaged_file_is_refused_and_left_as_it_is(keys, content):
    keys.path.parent.mkdir()
    keys.path.write_text(content)
    keys.path.chmod(0o600)
    with pytest.raises(KeyFileError, match=r"keys.json is damaged at"):
        keys.create("lab")
    assert keys.path.read_text() == content


def test_a_file_that_others_may_read_is_refused(keys):
    keys.create("lab")
    keys.path.chmod(0o644)
    with pytest.raises(KeyFileError, match=r"mode 0644.*chmod 600"):
        keys.keys()
