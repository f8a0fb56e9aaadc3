"""synth keys."""

from __future__ import annotations

import json


def test_a_key_is_printed_once_listed_without_its_secret_and_revoked(run):
    made = run("keys", "create", "lab", "--rate", "100/minute", "--quota", "5000")
    token = made.out.strip()
    assert made.code == 0
    assert token.startswith("sk_")
    assert token not in made.err
    listed = run("keys", "list", "--json")
    assert token not in listed.out
    assert [(key["name"], key["rate"], key["quota"]) for key in json.loads(listed.out)] == [
        ("lab", "100/minute", 5000)
    ]
    assert "5,000" in run("keys", "list").out
    revoked = run("keys", "revoke", "lab")
    assert revoked.code == 0
    assert "No key is left" in revoked.err
    assert "There are no keys" in run("keys", "list").err


def test_bad_rates_and_unknown_keys_are_usage_errors(run):
    bad, unknown = run("keys", "create", "lab", "--rate", "often"), run("keys", "revoke", "nobody")
    assert (bad.code, unknown.code) == (2, 2)
    assert "100/minute" in bad.err
    assert "There is no key 'nobody'" in unknown.err
