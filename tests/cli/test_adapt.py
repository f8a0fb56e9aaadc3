"""synth adapt: the comparison as a table and as JSON."""

from __future__ import annotations

import json

import numpy as np


def test_methods_are_compared_and_written(run, tiny, tmp_path, source):
    target = tiny.source(tmp_path / "target.npz", classes=0, seed=3)
    test = tiny.source(tmp_path / "test.npz", seed=4)
    words = ["adapt", "--source", str(source), "--target", str(target), "--test", str(test), "--name", "toy"]
    words += [
        "--methods",
        "dann",
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "out"),
        *tiny.flags("classifier"),
    ]
    outcome = run(*words)
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0].endswith(f"target.npz, tested on 40 images of {test}")
    assert lines[1].split() == [
        "METHOD", "TARGET", "ACCURACY", "GAIN,", "POINTS", "VALIDATION", "INFORMATION", "TRANSFER", "MODEL",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[2:4]] == ["source", "dann"]
    assert lines[3].endswith("toy-dann@1")
    assert lines[-1].startswith("take toy-")
    assert "no label of the target is looked at" in lines[-1]
    written = json.loads((tmp_path / "out" / "adaptation.json").read_text())
    assert [one["method"] for one in written["outcomes"]] == ["source", "dann"]

    again = run(*words)
    assert again.code == 2
    assert "out is not empty (adaptation.json): replace it with --overwrite" in again.err
    assert run("models", "show", "toy-source@2").code == 2  # refused before anything was trained
    found = json.loads(run(*words, "--overwrite", "--resume", "--json").out)
    assert found == written


def test_a_source_without_labels_is_refused_in_one_line(run, tmp_path, source):
    np.savez(tmp_path / "bare.npz", images=np.zeros((20, 8, 8), dtype=np.uint8))
    outcome = run(
        "adapt", "--source", str(tmp_path / "bare.npz"), "--target", str(source), "--name", "toy"
    )  # fmt: skip
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert "has no labels to learn" in outcome.err
    assert run("adapt", "--source", "a", "--target", "b", "--name", "toy", "--methods", ",").code == 2
