"""Figures of a run: a CSV file for people and scripts, and TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
from torch.utils.tensorboard import SummaryWriter


class RunLog:
    """Appends to ``metrics.csv`` (columns images_seen, name, value) and to ``tensorboard/``.

    A resumed run continues both; rows past the point of resumption are dropped, so that none stands twice.
    """

    def __init__(self, folder: Path, images_seen: int) -> None:
        self._path = folder / "metrics.csv"
        kept = _rows_until(self._path, images_seen) if self._path.exists() else []
        self._file = self._path.open("w", newline="")
        self._csv = csv.writer(self._file)
        self._csv.writerows([["images_seen", "name", "value"], *kept])
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=images_seen or None)

    def figures(self, images_seen: int, values: Mapping[str, float]) -> None:
        """Log numbers by name."""
        for name, value in values.items():
            self._csv.writerow([images_seen, name, f"{value:.6g}"])
            self._board.add_scalar(name, value, images_seen)
        self._file.flush()

    def picture(self, images_seen: int, name: str, pixels: np.ndarray) -> None:
        """Log a uint8 [H, W, C] picture to TensorBoard."""
        self._board.add_image(name, pixels, images_seen, dataformats="HWC")

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._board.close()


def _rows_until(path: Path, images_seen: int) -> list[list[str]]:
    with path.open(newline="") as handle:
        rows = list(csv.reader(handle))[1:]
    # A killed run may have left half a line.
    return [row for row in rows if len(row) == 3 and row[0].isdecimal() and int(row[0]) <= images_seen]
