"""Figures of a run: a CSV file for people and scripts, and TensorBoard."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from synth.artifacts.files import replace_file, storage_errors
from synth.training.plot import draw_curves


class RunLog:
    """Appends to ``metrics.csv`` (columns images_seen, name, value) and to ``tensorboard/``.

    A resumed run continues both: rows past the point of resumption are dropped, and none is written twice.
    Everything raises StorageError where the disk is full or refuses.
    """

    def __init__(self, folder: Path, images_seen: int) -> None:
        self._folder = folder
        path = folder / "metrics.csv"
        with storage_errors("write the log", folder):
            kept = _rows_until(path, images_seen) if path.exists() else []
            text = io.StringIO(newline="")
            csv.writer(text).writerows([["images_seen", "name", "value"], *kept])
            replace_file(path, text.getvalue().encode())
            self._file = path.open("a", newline="")
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=images_seen or None)
        self._csv = csv.writer(self._file)
        self._written = {(int(row[0]), row[1]) for row in kept}

    def figures(self, images_seen: int, values: Mapping[str, float]) -> None:
        """Log numbers by name."""
        with storage_errors("write the log", self._folder):
            for name, value in values.items():
                if (images_seen, name) not in self._written:
                    self._csv.writerow([images_seen, name, f"{value:.6g}"])
                    self._board.add_scalar(name, value, images_seen)
            self._file.flush()

    def plot(self) -> None:
        """Draw all figures so far into ``curves.png``, if there are curves to see."""
        path = self._folder / "metrics.csv"
        with storage_errors("write the log", self._folder):
            picture = draw_curves((int(seen), name, float(value)) for seen, name, value in _rows(path))
            if picture is not None:
                buffer = io.BytesIO()
                picture.save(buffer, format="PNG")
                replace_file(self._folder / "curves.png", buffer.getvalue())

    def picture(self, images_seen: int, name: str, pixels: np.ndarray) -> None:
        """Log a uint8 [H, W, C] picture to TensorBoard."""
        with storage_errors("write the log", self._folder):
            self._board.add_image(name, pixels, images_seen, dataformats="HWC")

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with storage_errors("write the log", self._folder):
            try:
                self._file.close()
            finally:
                self._board.close()


def _rows_until(path: Path, images_seen: int) -> list[list[str]]:
    return [row for row in _rows(path) if int(row[0]) <= images_seen]


def _rows(path: Path) -> list[list[str]]:
    with path.open(newline="", errors="replace") as handle:
        rows = list(csv.reader(handle))[1:]
    # A killed run may have left half a line.
    return [row for row in rows if len(row) == 3 and row[0].isdecimal() and _is_number(row[2])]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
