from __future__ import annotations

import json
from pathlib import Path

import pytest
from worth.ledger import Ledger, LedgerError, Row


def count(rows: list[Row]) -> int:
    return len(rows)


def test_a_restarted_measurement_goes_on_behind_the_seeds_on_disk(tmp_path: Path) -> None:
    first = Ledger("part", {"minutes": 1}, count, folder=tmp_path)
    first.add({"seed": 1, "ratio": 0.5})
    again = Ledger("part", {"minutes": 1}, count, folder=tmp_path)
    assert again.missing(range(3)) == [0, 2]
    again.add({"seed": 0, "ratio": 0.6})
    figures = json.loads((tmp_path / "part.json").read_text())["figures"]
    assert [row["seed"] for row in figures["rows"]] == [0, 1]
    assert figures["summary"] == 2


def test_rows_of_other_settings_are_neither_mixed_nor_lost(tmp_path: Path) -> None:
    before, after = ({"minutes": 1, "policies": [{"area": area}]} for area in (0.1, 0.2))
    Ledger("part", before, count, folder=tmp_path).add({"seed": 0})
    with pytest.raises(LedgerError, match=r"\(settings\.policies\[0\]\.area: 0\.1 -> 0\.2\).*--fresh"):
        Ledger("part", after, count, folder=tmp_path)
    fresh = Ledger("part", after, count, folder=tmp_path, fresh=True)
    assert fresh.missing(range(1)) == [0]
    assert json.loads((tmp_path / "part.json").read_text())["figures"]["settings"] == before


def test_several_rows_of_a_seed_are_told_apart_by_their_values(tmp_path: Path) -> None:
    ledger = Ledger("part", {}, count, folder=tmp_path)
    ledger.add({"seed": 0, "policy": "basic"})
    ledger.add({"seed": 0, "policy": "none"})
    again = Ledger("part", {}, count, folder=tmp_path)
    assert again.has(seed=0, policy="none")
    assert not again.has(seed=1, policy="none")
    assert not again.has(seed=0, policy="mixup")


def test_quick_runs_leave_no_file(tmp_path: Path) -> None:
    Ledger("part", {}, count, folder=tmp_path, keep=False).add({"seed": 0})
    assert not list(tmp_path.iterdir())
