"""``synth evaluate``."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def words(tiny, tmp_path):
    real = tiny.source(tmp_path / "real.npz", count=80)
    made = tiny.source(tmp_path / "made.npz", count=70, seed=1)
    held = tiny.source(tmp_path / "held.npz", count=60, seed=2)
    named = ("--real", str(real), "--synthetic", str(made), "--holdout", str(held))
    return ("evaluate", *named, "--encoder", "random", "--quick", "--device", "cpu")


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr("synth.evaluation.report.compute.budget", lambda shape: 768)


def test_a_report_is_printed_and_written(run, words, tmp_path):
    out = tmp_path / "out"
    done = run(*words, "--out", str(out), "--fail-under", "precision=0")
    assert done.code == 0, done.err
    assert "tstr_accuracy" in done.out
    assert "Measuring utility" in done.err
    assert (out / "report.html").read_text().startswith("<!doctype html>")
    assert json.loads((out / "report.json").read_text())["kind"] == "synth-report"
    again = run(*words, "--out", str(out))
    assert again.code == 2
    assert "--overwrite" in again.err


def test_groups_are_compared_by_the_rule_of_splits(run, words, tmp_path):
    names = tmp_path / "groups.txt"
    names.write_text("\n".join(["near", "far"] * 70))  # 80 real images and 60 held out
    done = run(*words, "--groups", str(names), "--json")
    assert done.code == 0, done.err
    bias = json.loads(done.out)["bias"]
    assert {group["name"] for group in bias["groups"]} == {"near", "far"}
    names.write_text("near\n")
    few = run(*words, "--groups", str(names))
    assert few.code == 1
    assert "1 line for 140 samples" in few.err


def test_json_goes_to_stdout_and_a_missed_limit_fails_after_it(run, words, tmp_path):
    out = tmp_path / "out"
    done = run(*words, "--json", "--out", str(out), "--fail-under", "tstr_ratio=100")
    assert done.code == 1
    assert json.loads(done.out)["facts"]["extractor"] == "random network"
    assert "tstr_ratio is" in done.err
    assert (out / "report.json").exists()


def test_what_is_wrong_is_told_before_anything_is_measured(run, words):
    unknown = run(*words, "--fail-under", "tstr=0.8")
    assert (unknown.code, "there is no figure 'tstr'" in unknown.err) == (2, True)
    nothing = run("evaluate", "--real", "digits", "--synthetic", "no-such-thing")
    assert nothing.code == 2
    assert "neither a source nor a model" in nothing.err
    leak = run(*words[:5], "--holdout", words[2])
    assert leak.code == 2
    assert "the holdout" in leak.err


def test_a_model_is_measured_on_what_it_was_not_trained_on(run, tiny, tmp_path):
    real = tiny.source(tmp_path / "real.npz", count=400)
    tiny.fit(real, recipe=tiny.recipe(validation=0.2))
    options = ("--encoder", "random", "--quick", "--device", "cpu", "--count", "64", "--json")
    done = run("evaluate", "--real", str(real), "--synthetic", "toy", *options)
    assert done.code == 0, done.err
    facts = json.loads(done.out)["facts"]
    assert facts["model"] == "toy@1"
    assert facts["synthetic"]["count"] == 64
    assert facts["real"]["count"] + facts["holdout"]["count"] == 400
    leak = run("evaluate", "--real", str(real), "--synthetic", "toy", "--holdout", str(real), *options)
    assert leak.code == 2
    assert "toy@1 was trained on" in leak.err
