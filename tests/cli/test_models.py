"""synth models."""

from __future__ import annotations

import json
import sys

import pytest

from synth.artifacts import Store


def test_list_shows_every_version_and_the_damaged_ones(run, store: Store) -> None:
    (store.root / "cats" / "1" / "manifest.json").write_text("{", encoding="utf-8")
    outcome = run("models", "list")
    assert outcome.code == 0
    head, first, second = outcome.out.splitlines()
    assert head.split() == ["MODEL", "FAMILY", "IMAGE", "CLASSES", "TRAINED", "ON", "CREATED"]
    assert first.split() == ["cats@1", "damaged"]
    assert second.startswith("cats@2  vae      8x12 grey  2        1,234 images")
    assert outcome.err.startswith("damaged: cats@1: ")


def test_list_as_json_has_the_cards_and_the_errors(run, store: Store) -> None:
    (store.root / "cats" / "1" / "manifest.json").unlink()
    damaged, whole = json.loads(run("models", "list", "--json").out)
    assert damaged["reference"] == "cats@1"
    assert damaged["error"]
    assert whole["error"] is None
    assert whole["classes"] == ["cat", "dog"]
    assert whole["path"] == str(store.root / "cats" / "2")


def test_an_empty_store_is_an_empty_list_and_a_hint(run) -> None:
    outcome = run("models", "list")
    assert (outcome.code, outcome.out) == (0, "")
    assert "synth train" in outcome.err
    assert json.loads(run("models", "list", "--json").out) == []


def test_another_store_can_be_named(run, store: Store, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path / "elsewhere"))
    assert run("models", "list").out == ""
    assert "cats@2" in run("models", "list", "--store", str(store.root)).out


def test_show_tells_what_is_known(run, store: Store) -> None:
    fields = dict(line.split(maxsplit=1) for line in run("models", "show", "cats").out.splitlines())
    assert fields["model"] == "cats@2"
    assert fields["classes"] == "2: cat, dog"
    assert fields["loss"] == "0.25  (mean over 3 held-out images)"
    assert json.loads(run("models", "show", "cats@1", "--json").out)["version"] == 1


def test_show_of_a_damaged_model_exits_1(run, store: Store) -> None:
    (store.root / "cats" / "1" / "manifest.json").write_text("{", encoding="utf-8")
    outcome = run("models", "show", "cats@1")
    assert outcome.code == 1
    assert "manifest.json" in outcome.err


def test_remove_asks_and_takes_no_for_an_answer(run, store: Store, monkeypatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda question, **options: False)
    assert run("models", "remove", "cats@1").code == 1
    assert store.versions("cats") == [1, 2]
    monkeypatch.setattr("typer.confirm", lambda question, **options: True)
    assert run("models", "remove", "cats@1").code == 0
    assert store.versions("cats") == [2]


def test_remove_without_a_terminal_needs_yes(run, store: Store, monkeypatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    outcome = run("models", "remove", "cats@1")
    assert outcome.code == 2
    assert "--yes" in outcome.err
    assert store.versions("cats") == [1, 2]


@pytest.mark.parametrize(("options", "left"), [((), [1, 2]), (("--all-versions",), [])])
def test_remove_of_a_name_takes_all_versions_only_when_told_so(run, store: Store, options, left) -> None:
    outcome = run("models", "remove", "cats", "--yes", *options)
    assert outcome.code == (2 if left else 0)
    assert store.versions("cats") == left


def test_an_alias_is_set_moved_and_removed(run, store: Store) -> None:
    outcome = run("models", "alias", "cats@2", "stable")
    assert (outcome.code, outcome.err) == (0, "cats@stable is cats@2.\n")
    assert json.loads(run("models", "show", "cats@stable", "--json").out)["version"] == 2
    wrong = run("models", "alias", "cats@2", "stable", "--remove")
    assert (wrong.code, "synth models alias cats stable --remove" in wrong.err) == (2, True)
    assert run("models", "alias", "cats", "stable", "--remove").code == 0
    assert run("models", "show", "cats@stable").code == 2
