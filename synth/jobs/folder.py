"""Where a job keeps what it makes: ``SYNTH_HOME/jobs/ID/``."""

from __future__ import annotations

import contextlib
import fcntl
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth.artifacts.files import make_folder, storage_errors
from synth.errors import OverloadError
from synth.jobs.records import check_id


class JobBusyError(OverloadError):
    """Another worker still has its hands in the folder, though the job is no longer its own."""

    code = "job-busy"


_REMOVED = ".removed-"
"""No id of a job begins with a dot."""


@dataclass(frozen=True)
class JobFolder:
    """``dataset`` of a generate job, ``runs`` of a train job, ``preview.png`` of either; ``report`` of an
    evaluate job.
    """

    path: Path

    @staticmethod
    def of(jobs: Path, id: str) -> JobFolder:
        """The folder of a job; UsageError where the id is none."""
        return JobFolder(jobs / check_id(id))

    @property
    def dataset(self) -> Path:
        """The data set, once it is complete."""
        return self.path / "dataset"

    @property
    def runs(self) -> Path:
        """Training runs: state, logs and previews."""
        return self.path / "runs"

    @property
    def preview(self) -> Path:
        """A picture of what is being made."""
        return self.path / "preview.png"

    @property
    def report(self) -> Path:
        """``report.html`` and ``report.json``, once the report is complete."""
        return self.path / "report"

    def discard(self) -> None:
        """Take the folder out of sight in one step, with all that the job put into it; ``sweep`` deletes it.

        Raises JobBusyError if a worker still has its hands in it, StorageError if it cannot be moved.
        """
        if self.path.is_symlink() or not self.path.is_dir():
            return  # nothing that a job has made
        with self.held(), storage_errors("remove what the job made", self.path):
            self.path.rename(self.path.with_name(f"{_REMOVED}{self.path.name}-{secrets.token_hex(4)}"))

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder and keep other workers out; the kernel lets go when the process ends.

        Raises JobBusyError if a worker that lost the job has not noticed that yet.
        """
        with storage_errors("start the job", self.path):
            make_folder(self.path)
            handle = (self.path / ".lock").open("ab")
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise JobBusyError(f"Another worker is still at work in {self.path}.") from None
            yield


def sweep(jobs: Path) -> None:
    """Delete what was discarded, also by processes that were killed before they could."""
    with storage_errors("delete what jobs made", jobs):
        for path in jobs.glob(f"{_REMOVED}*"):
            shutil.rmtree(path, onerror=_unless_gone)


def _unless_gone(function: object, path: str, error: Any) -> None:
    """Two may sweep at once."""
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]
