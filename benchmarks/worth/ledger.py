"""Results that grow seed by seed: what is measured is on disk at once, and a restart goes on behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import record

Row = dict[str, Any]


class LedgerError(Exception):
    """A kept result was measured under other conditions than those now asked for."""


class Ledger:
    """The rows of one result, one or more for each seed, in ``folder/NAME.json``.

    Args:
        name: of the result.
        settings: all that decides the figures, but for the seeds; plain JSON.
        summarise: from the rows to what they say together.
        keep: write and read; else the rows are only held.
        fresh: leave out what an earlier run has written; the first row replaces it.

    Raises LedgerError where the kept rows were measured with other settings or on another machine.
    """

    def __init__(
        self,
        name: str,
        settings: Mapping[str, Any],
        summarise: Callable[[list[Row]], Any],
        *,
        folder: Path = record.RESULTS,
        keep: bool = True,
        fresh: bool = False,
    ) -> None:
        self.name, self.settings = name, json.loads(json.dumps(settings))
        self._summarise, self._folder, self._keep = summarise, folder, keep
        self.rows: list[Row] = []
        path = folder / f"{name}.json"
        if keep and not fresh and path.exists():
            self.rows = self._read(path)

    def missing(self, seeds: Iterable[int]) -> list[int]:
        """Those of the seeds that have no row yet."""
        there = {row["seed"] for row in self.rows}
        return [seed for seed in seeds if seed not in there]

    def has(self, **values: Any) -> bool:
        """Whether there is a row with all of these values."""
        return any(all(row.get(name) == value for name, value in values.items()) for row in self.rows)

    def add(self, row: Row) -> None:
        """Take a row with its ``seed``, and write."""
        self.rows = sorted([*self.rows, {**row, "commit": record.commit()}], key=lambda one: one["seed"])
        if self._keep:
            record.write_result(self.name, self.figures(), self._folder)

    def figures(self) -> dict[str, Any]:
        """Settings, what the rows say together, and the rows."""
        return {"settings": self.settings, "summary": self._summarise(self.rows), "rows": self.rows}

    def _read(self, path: Path) -> list[Row]:
        kept = json.loads(path.read_text(encoding="utf-8"))
        now = record.machine()
        before = {**_of_machine(kept["machine"]), "settings": kept["figures"]["settings"]}
        differences = changes(before, {**_of_machine(now), "settings": self.settings})
        if differences:
            raise LedgerError(
                f"{path} was measured otherwise ({'; '.join(differences)}). Use --fresh to replace it, or "
                "--results for another folder."
            )
        rows: list[Row] = kept["figures"]["rows"]
        return rows


def _of_machine(machine: Mapping[str, Any]) -> dict[str, Any]:
    return {name: machine.get(name) for name in ("cpu", "cpus", "cuda")}


def changes(before: Any, after: Any, place: str = "") -> list[str]:
    """Where two pieces of JSON differ, each as ``place: before -> after``."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = [*before, *(name for name in after if name not in before)]
        pairs = [(f"{place}.{name}".lstrip("."), before.get(name), after.get(name)) for name in names]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [(f"{place}[{at}]", *pair) for at, pair in enumerate(zip(before, after, strict=True))]
    else:
        return [] if before == after else [f"{place}: {before} -> {after}"]
    return [change for name, one, other in pairs for change in changes(one, other, name)]
