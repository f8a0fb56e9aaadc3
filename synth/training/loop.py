"""What happens around each training step: schedule, average, guard, log, preview, saving, stopping."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import lightning
import torch

from synth.errors import InterruptedRunError, NonFiniteError
from synth.training.budget import Budget
from synth.training.log import RunLog
from synth.training.module import FamilyModule
from synth.training.observer import Observer
from synth.training.pace import Pace
from synth.training.reporter import Reporter
from synth.training.runs import Run
from synth.training.team import Team

_STEPS_BETWEEN_LOGS = 20
_SECONDS_BETWEEN_REPORTS = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Whether the user has asked the run to stop.

    The first signal is held back until the state is saved, unless there is nothing to save (``at_once``); a
    second one is not. ``remedy`` says how to go on.
    """

    def __init__(self, run: Run, remedy: str) -> None:
        self.asked = False
        self._at_once = False
        self._listening = False
        self._run, self._remedy = run, remedy

    def error(self, images_seen: int) -> InterruptedRunError:
        """To be raised once the state is saved."""
        return InterruptedRunError(
            f"Stopped after {images_seen:,} images; the state is saved in {self._run.path}. {self._remedy}"
        )

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Catch SIGINT and SIGTERM, where signals can be caught: in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        self._listening = True
        self.take_over()
        try:
            yield
        finally:
            self._listening = False
            for number, handler in before.items():
                signal.signal(number, handler)

    def take_over(self) -> None:
        """Catch the signals again, after someone else has begun to."""
        if self._listening:
            for number in _SIGNALS:
                signal.signal(number, self._handle)

    @contextmanager
    def at_once(self, images_seen: int) -> Iterator[None]:
        """Within, all is saved: a signal, even one that came before, ends the block with the error."""
        self._at_once = True
        try:
            if self.asked:
                raise KeyboardInterrupt
            yield
        except KeyboardInterrupt:
            raise self.error(images_seen) from None
        finally:
            self._at_once = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._at_once:
            raise KeyboardInterrupt
        if self.asked:
            # Not KeyboardInterrupt: Lightning would turn that into an exit code of its own.
            raise InterruptedRunError(
                f"Stopped at once; what was saved last is in {self._run.path}. {self._remedy}"
            )
        self.asked = True


class Loop(Pace):
    """What the process does in addition that keeps the run: guard, log, look, save, stop."""

    def __init__(
        self,
        run: Run,
        budget: Budget,
        run_log: RunLog,
        observer: Observer,
        reporter: Reporter,
        interruption: Interruption,
        save_seconds: float,
        saved: dict[str, Any] | None,
        team: Team,
    ) -> None:
        super().__init__(budget, saved, team)
        self.run, self.run_log, self._observer = run, run_log, observer
        self.reporter, self.interruption, self.save_seconds = reporter, interruption, save_seconds
        self._last_save = self._last_report = time.monotonic()

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        # Lightning has taken SIGTERM for itself: it would exit with 0 and save nothing.
        self.interruption.take_over()
        super().on_train_start(trainer, pl_module)

    def check_step(self, module: FamilyModule) -> None:
        if not bool(torch.isfinite(module.figures["loss"])):
            self._fail("the loss")

    def after_step(self, module: FamilyModule) -> bool:
        while module.notes:
            self.reporter.note(module.notes.pop(0))
        progress = self.budget.progress
        done = progress >= 1.0
        self._tell(module, done)
        if self._observer.due(progress):
            self._require_finite(module)
            self._observer.look(module)
        due = self.interruption.asked or done or time.monotonic() - self._last_save >= self.save_seconds
        if due:
            self.save(module)
        # Asked anew, for it may have come while the state was saved; but never without saving.
        return done or (due and self.interruption.asked)

    def save(self, module: FamilyModule) -> None:
        """Save all that is needed to go on, if it is good."""
        self._require_finite(module)
        self.run.save_state(
            {
                **module.state(),
                "precision": module.trainer.precision_plugin.state_dict(),
                "images_seen": self.budget.images_seen,
                "seconds": self.budget.seconds,
            }
        )
        self._last_save = time.monotonic()

    def _require_finite(self, module: FamilyModule) -> None:
        """The loss tells of the weights before the step; this of those after it."""
        if not module.is_finite():
            self._fail("a weight")

    def _fail(self, what: str) -> None:
        lower = f"--set learning_rate={self.budget.recipe.learning_rate / 4:g}"
        if self.run.state_file.exists():
            remedy = f"The last good state is kept in {self.run.state_file}: go on with --resume {lower}."
        else:
            remedy = f"Start again with {lower}, or with --precision 32."
        raise NonFiniteError(
            f"Training diverged: {what} became NaN or infinite after {self.budget.images_seen:,} images. "
            f"{remedy}"
        )

    def _tell(self, module: FamilyModule, done: bool) -> None:
        # Counted from the run's beginning, so that a resumed run logs the same steps.
        log = done or self.budget.images_seen // self.budget.recipe.batch_size % _STEPS_BETWEEN_LOGS == 0
        now = time.monotonic()
        report = done or now - self._last_report >= _SECONDS_BETWEEN_REPORTS
        if not (log or report):
            return
        figures = {name: float(value) for name, value in module.figures.items()}
        if log:
            self.run_log.figures(self.budget.images_seen, figures)
        if report:
            self._last_report = now
            self.reporter.progress(
                self.budget.progress, self.budget.images_seen, self.budget.seconds, figures
            )
