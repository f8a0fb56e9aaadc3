"""What all commands share: help, version, errors and exit codes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import synth
from synth.artifacts import Store

HEAVY = ("torch", "lightning", "torchvision", "pydantic", "fastapi", "sklearn", "numpy", "rich.console")


def _synth(*words: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "synth", *words]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


def test_version_is_that_of_the_package(run) -> None:
    outcome = run("--version")
    assert (outcome.code, outcome.out) == (0, f"synth {synth.__version__}\n")


def test_no_words_at_all_give_help(run) -> None:
    outcome = run()
    assert outcome.code == 0
    assert outcome.out.startswith("Usage: synth")
    for verb in ("train", "generate", "serve", "models", "config", "doctor"):
        assert f"\n  {verb} " in outcome.out


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from synth.cli import main; main(['--help']);"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stderr == "[]\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["modles"], "No such command 'modles'"),
        (["models"], "Missing command"),
        (["models", "show"], "Missing argument"),
        (["doctor", "--colour"], "No such option"),
        (["models", "show", "nothing"], "There is no model 'nothing'"),
        (["models", "show", "cats@@"], "Cannot read the model reference"),
        (["config", "schema", "vea"], "There is no family 'vea'"),
    ],
)
def test_a_wrong_command_exits_2_with_one_message(run, words: list[str], message: str) -> None:
    outcome = run(*words)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith(f"error: {message}")
    assert "Traceback" not in outcome.err


def test_an_unforeseen_error_is_one_line_and_a_traceback_on_request(run, monkeypatch) -> None:
    def fail(store: Store) -> None:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(Store, "list", fail)
    outcome = run("models", "list")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "error: ZeroDivisionError: nobody thought of this (SYNTH_DEBUG=1 shows where)\n"

    monkeypatch.setenv("SYNTH_DEBUG", "1")
    outcome = run("models", "list")
    assert outcome.code == 1
    assert outcome.err.startswith("Traceback")
    assert outcome.err.endswith("error: ZeroDivisionError: nobody thought of this\n")


def test_an_interrupt_exits_130(run, monkeypatch) -> None:
    def interrupt(store: Store) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "list", interrupt)
    outcome = run("models", "list")
    assert (outcome.code, outcome.err) == (130, "error: interrupted\n")


def test_a_reader_that_leaves_is_no_error_message() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        outcome = _synth("--help", stdout=writing)
    finally:
        os.close(writing)
    assert (outcome.returncode, outcome.stderr) == (1, "")
