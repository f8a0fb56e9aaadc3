"""synth doctor, and the facts of the machine that it reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synth.artifacts import Store
from synth.machine import cpu_features, cpu_name, cpu_quota


def _checks(text: str) -> dict[str, dict]:
    return {check["name"]: check for check in json.loads(text)["checks"]}


def test_a_whole_installation_passes_and_nothing_is_made_by_looking(run, synth_home: Path) -> None:
    outcome = run("doctor", "--json")
    assert outcome.code == 0
    checks = _checks(outcome.out)
    assert not [check for check in checks.values() if check["status"] == "failed"]
    assert checks["home"]["facts"] == {"path": str(synth_home), "exists": False, "writable": True}
    assert checks["cpu"]["facts"]["usable"] >= 1
    assert "digits" in checks["data"]["facts"]["local"]
    assert not synth_home.exists()


def test_a_home_that_cannot_be_written_fails_with_a_remedy(run, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path / "file" / "home"))
    outcome = run("doctor")
    assert outcome.code == 1
    failed = next(line for line in outcome.out.splitlines() if line.startswith("failed"))
    assert "home" in failed
    assert "set SYNTH_HOME" in outcome.out


def test_damaged_models_are_a_warning(run, store: Store) -> None:
    (store.root / "cats" / "1" / "manifest.json").unlink()
    outcome = run("doctor")
    assert outcome.code == 0
    assert "warning  store" in outcome.out
    assert "synth models remove cats@1" in outcome.out


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_either_version_of_control_groups_is_read(tmp_path: Path, files, quota) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cpu_quota(tmp_path) == quota


def test_the_processor_is_read_where_the_system_tells(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Fast One\nflags\t\t: fpu avx2 amx_bf16 avx512_bf16\n")
    assert cpu_name(cpuinfo) == "Fast One"
    assert cpu_features(cpuinfo) == ["avx2", "avx512_bf16", "amx_bf16"]
    assert cpu_features(tmp_path / "nothing") == []
