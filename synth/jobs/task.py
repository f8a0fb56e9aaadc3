"""What a job sees of the worker that does it: where to put things, whom to tell, when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from synth.errors import InterruptedRunError
from synth.jobs.folder import JobFolder
from synth.jobs.records import Job
from synth.jobs.settings import WorkerSettings

Cause = Literal["cancel", "stop", "lost"]
"""Why a job has to stop: its client said so, its worker ends, or it is another worker's now."""


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        done, total: images; ``total`` is None where the length is a time.
        share: 0 to 1.
        images_per_second, eta_seconds: over this attempt; None until there is something to go by.
        figures: what training measures, by name.
    """

    done: int
    total: int | None
    share: float
    images_per_second: float | None = None
    eta_seconds: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)


class Task:
    """One attempt at a job. ``advance`` and ``asked`` are for the thread that works, ``ask`` and ``progress``
    for any other.
    """

    def __init__(
        self,
        job: Job,
        folder: JobFolder,
        settings: WorkerSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.job, self.folder, self.settings = job, folder, settings
        self._asked: Cause | None = None
        self._clock = clock
        self._began: tuple[float, int, float] | None = None
        self._progress: Progress | None = None

    @property
    def asked(self) -> Cause | None:
        """Why to stop; None: go on."""
        return self._asked

    def ask(self, cause: Cause) -> None:
        """Ask it to stop at its next step; what was asked first counts, but a lost job is lost."""
        if self._asked is None or cause == "lost":
            self._asked = cause

    def check(self) -> None:
        """Raise InterruptedRunError if it was asked to stop."""
        if self._asked is not None:
            raise InterruptedRunError(f"The job {self.job.id} was stopped.")

    def advance(
        self, done: int, total: int | None, share: float, figures: Mapping[str, float] | None = None
    ) -> None:
        """Tell how far the work is. The first call counts as the beginning of this attempt."""
        now = self._clock()
        if self._began is None:
            self._began = (now, done, share)
        began, done_before, share_before = self._began
        rate = eta = None
        if now > began and share > share_before:
            rate = round((done - done_before) / (now - began), 3)
            eta = round((now - began) * max(0.0, 1.0 - share) / (share - share_before), 1)
        finite = {name: value for name, value in (figures or {}).items() if math.isfinite(value)}
        self._progress = Progress(done, total, round(share, 6), rate, eta, finite)

    def progress(self) -> dict[str, Any] | None:
        """The latest, as plain JSON values; None before the first."""
        return None if self._progress is None else asdict(self._progress)
