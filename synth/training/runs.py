"""Run folders: where a training keeps its recipe, logs, previews and resume state.

SYNTH_HOME/runs/NAME/0001/
    run.json        recipe, source and digest of the data; the artifact once it is published
    state.pt        everything needed to go on, replaced atomically
    metrics.csv     figures by images seen; the same for TensorBoard in ``tensorboard/``
    previews/       a grid of samples from fixed keys, by images seen
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from synth.artifacts.files import make_folder, storage_errors, sync_folder
from synth.data import ImageSet
from synth.errors import NotFoundError, ResumeError, UsageError
from synth.home import runs_folder

_STATE_SCHEMA = 1


class Run:
    """One training of one name."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def number(self) -> int:
        """1 for the first training of its name."""
        return int(self.path.name)

    @property
    def state_file(self) -> Path:
        """Where the resume state lies."""
        return self.path / "state.pt"

    def record(self) -> dict[str, Any]:
        """The content of run.json; ResumeError where it cannot be read."""
        try:
            content: dict[str, Any] = json.loads((self.path / "run.json").read_text())
        except (OSError, ValueError) as error:
            raise ResumeError(
                f"{self.path / 'run.json'} cannot be read ({error}); start a new run."
            ) from error
        return content

    def update(self, **fields: Any) -> None:
        """Set fields of run.json."""
        before = self.record() if (self.path / "run.json").exists() else {}
        text = json.dumps({**before, **fields}, indent=2) + "\n"
        self._replace(self.path / "run.json", text.encode())

    def save_state(self, state: dict[str, Any]) -> None:
        """Replace the resume state, atomically."""
        temporary = self.path / "state.pt.new"
        with storage_errors("save the training state", self.path):
            with temporary.open("wb") as handle:
                torch.save({"schema": _STATE_SCHEMA, **state}, handle)
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, self.state_file)
            sync_folder(self.path)

    def load_state(self) -> dict[str, Any]:
        """The resume state, on the CPU; ResumeError where there is none or it is damaged."""
        if not self.state_file.exists():
            raise ResumeError(f"{self.path} holds no saved state yet; start again without --resume.")
        try:
            state: dict[str, Any] = torch.load(self.state_file, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise ResumeError(f"{self.state_file} is damaged ({error}); start a new run.") from error
        if state.get("schema") != _STATE_SCHEMA:
            raise ResumeError(f"{self.state_file} was written by another version of synth; start a new run.")
        return state

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run; UsageError where another process trains it now."""
        with (self.path / ".lock").open("ab") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"{self.path} is being trained by another process.") from None
            yield

    def _replace(self, path: Path, data: bytes) -> None:
        temporary = path.with_name(path.name + ".new")
        with storage_errors("write", self.path):
            with temporary.open("wb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, path)


def all_runs(name: str, root: Path | None = None) -> list[Run]:
    """The runs of a name, oldest first."""
    folder = (root or runs_folder()) / name
    if not folder.is_dir():
        return []
    return [Run(path) for path in sorted(folder.iterdir()) if path.name.isdecimal() and path.is_dir()]


def latest_run(name: str, root: Path | None = None) -> Run:
    """The newest run of a name; NotFoundError where there is none."""
    runs = all_runs(name, root)
    if not runs:
        raise NotFoundError(
            f"There is no run of {name!r} to resume in {root or runs_folder()}; start one without --resume."
        )
    return runs[-1]


def new_run(name: str, root: Path | None = None) -> Run:
    """A new, empty run folder; older runs stay."""
    folder = (root or runs_folder()) / name
    with storage_errors("start a run", folder):
        make_folder(folder)
        number = max((run.number for run in all_runs(name, root)), default=0)
        while True:
            number += 1
            path = folder / f"{number:04d}"
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return Run(path)


def data_digest(images: ImageSet) -> str:
    """SHA-256 over the images' content hashes and labels, in order, and the shape they were brought to."""
    digest = hashlib.sha256(repr((tuple(images.images.shape), images.classes)).encode())
    digest.update("".join(images.ids).encode())
    if images.labels is not None:
        digest.update(images.labels.numpy().tobytes())
    return digest.hexdigest()
