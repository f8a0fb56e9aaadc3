"""synth config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def test_schema_of_a_family_describes_every_setting(run) -> None:
    schema = json.loads(run("config", "schema", "vae").out)
    assert schema["properties"]["batch_size"]["default"]
    assert not [name for name, setting in schema["properties"].items() if not setting.get("description")]
    whole = json.loads(run("config", "schema").out)
    assert whole["vae"] == schema
    assert whole["pipeline"] == json.loads(run("config", "schema", "pipeline").out)
    assert "rotate@1" in whole["pipeline"]["$defs"]


def test_what_show_prints_is_a_configuration_file(run, tmp_path: Path) -> None:
    shown = run("config", "show", "vae", "--set", "batch_size=32", "--set", "minutes=3").out
    (tmp_path / "recipe.yaml").write_text(shown)
    assert run("config", "show", "vae", "--config", str(tmp_path / "recipe.yaml")).out == shown
    values = json.loads(run("config", "show", "vae", "--config", str(tmp_path / "recipe.yaml"), "--json").out)
    assert (values["batch_size"], values["minutes"]) == (32, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "batchsize=2"], "batch_size"),
        (["--set", "batch_size=0"], "batch_size"),
        (["--set", "batch_size"], "name=value"),
        (["--config", "nothing.yaml"], "nothing.yaml"),
    ],
)
def test_a_wrong_setting_exits_2_and_is_named(run, words: list[str], message: str) -> None:
    outcome = run("config", "show", "vae", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


def test_a_pipeline_is_printed_in_full_and_reads_as_the_same(run, tmp_path: Path) -> None:
    (tmp_path / "mild.yaml").write_text("sample: [horizontal_flip, {operation: rotate, degrees: 5}]")
    shown = run("config", "pipeline", str(tmp_path / "mild.yaml"))
    (tmp_path / "full.yaml").write_text(shown.out)
    again = run("config", "pipeline", str(tmp_path / "full.yaml"))
    assert (again.out, again.err) == (shown.out, shown.err)
    assert shown.err.startswith("digest ")
    values = json.loads(run("config", "pipeline", str(tmp_path / "mild.yaml"), "--json").out)
    assert values["sample"][1]["operation"] == "rotate@1"
    (tmp_path / "twice.yaml").write_text("sample: [rotate]\nsample: [hue]")
    refused = run("config", "pipeline", str(tmp_path / "twice.yaml"))
    assert (refused.code, refused.out) == (2, "")
    assert "'sample' is there twice" in refused.err
