"""Run folders: where a training keeps its recipe, logs, previews and resume state.

SYNTH_HOME/runs/NAME/0001/
    run.json        recipe, source and digest of the data; the artifact once it is published
    state.pt        a line with the SHA-256 of what follows: all that is needed to go on, replaced atomically
    metrics.csv     figures by images seen; the same for TensorBoard in ``tensorboard/``
    curves.png      the same as lines in one picture, drawn anew at each preview
    previews/       a grid of samples from fixed keys, one row a class, by images seen
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from synth.artifacts.files import make_folder, replace_file, storage_errors
from synth.data import ImageSet
from synth.errors import NotFoundError, ResumeError, UsageError
from synth.home import runs_folder

_STATE_SCHEMA = 1
_STATE_KEYS = {"module", "optimisers", "images_seen", "seconds"}
_MAGIC = b"synth-state "
_RECORD_KEYS = {"family", "source", "location", "recipe", "data", "images"}


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
        path = self.path / "run.json"
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ResumeError(f"{path} cannot be read ({error}); start a new run with --fresh.") from error
        if not isinstance(content, dict) or not content.keys() >= _RECORD_KEYS:
            raise ResumeError(f"{path} is not the record of a run; start a new run with --fresh.")
        return content

    @property
    def finished(self) -> bool:
        """Whether it has been published."""
        try:
            return self.record().get("artifact") is not None
        except ResumeError:
            return False

    def update(self, **fields: Any) -> None:
        """Set fields of run.json."""
        before = self.record() if (self.path / "run.json").exists() else {}
        text = json.dumps({**before, **fields}, indent=2) + "\n"
        with storage_errors("write the record of the run", self.path):
            replace_file(self.path / "run.json", text.encode())

    def save_state(self, state: dict[str, Any]) -> None:
        """Replace the resume state, atomically; where that fails, the earlier one stays."""
        buffer = io.BytesIO()
        torch.save({"schema": _STATE_SCHEMA, **state}, buffer)
        data = buffer.getvalue()
        with storage_errors("save the training state", self.path):
            replace_file(self.state_file, _MAGIC + _sha256(data) + b"\n" + data)

    def load_state(self) -> dict[str, Any]:
        """The resume state, on the CPU; ResumeError where it is damaged or of another version."""
        remedy = "Start a new run with --fresh."
        try:
            content = self.state_file.read_bytes()
        except OSError as error:
            raise ResumeError(f"Cannot read {self.state_file}: {error.strerror}. {remedy}") from error
        head, _, data = content.partition(b"\n")
        # torch would not notice a changed bit in a weight.
        if head != _MAGIC + _sha256(data):
            raise ResumeError(f"{self.state_file} is damaged: its checksum is wrong. {remedy}")
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if state.get("schema") != _STATE_SCHEMA or not state.keys() >= _STATE_KEYS:
            raise ResumeError(f"{self.state_file} was written by another version of synth. {remedy}")
        return state

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run; UsageError where another process trains it now."""
        with storage_errors("lock the run", self.path):
            handle = (self.path / ".lock").open("ab")
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"{self.path} is being trained by another process; wait for it, stop it first, or "
                    "start another run with --fresh."
                ) from None
            yield


def all_runs(name: str, root: Path | None = None) -> list[Run]:
    """The runs of a name, oldest first."""
    folder = (root or runs_folder()) / name
    if not folder.is_dir():
        return []
    runs = [Run(path) for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]
    return sorted(runs, key=lambda run: run.number)


def latest_run(name: str, root: Path | None = None) -> Run:
    """The newest run of a name; NotFoundError where there is none."""
    runs = all_runs(name, root)
    if not runs:
        raise NotFoundError(
            f"There is no run of {name!r} to resume in {root or runs_folder()}; start one without --resume."
        )
    return runs[-1]


def has_run(name: str, root: Path | None = None) -> bool:
    """Whether there is a run of that name to go on with."""
    return bool(all_runs(name, root))


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
    if images.shares is not None:
        digest.update(images.shares.numpy().tobytes())
    return digest.hexdigest()


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()
