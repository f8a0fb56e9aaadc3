"""The worker: a process that does jobs, one at a time, in its main thread.

``python -m synth.jobs.worker`` works until SIGTERM or SIGINT; then it saves, gives its job back and ends. A
second signal ends it at once. It can be killed at any time: another worker goes on with its job.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import math
import os
import platform
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from synth.errors import InterruptedRunError, OverloadError, StorageError, SynthError
from synth.jobs.folder import JobBusyError, JobFolder
from synth.jobs.kinds import KINDS, get_kind
from synth.jobs.leases import LeaseLostError
from synth.jobs.queue import Queue
from synth.jobs.records import Job
from synth.jobs.removal import remove_old_jobs
from synth.jobs.settings import WorkerSettings, load_worker_settings
from synth.jobs.task import Task

_HEARTBEATS = 10
"""In the time of a lease; each tells the progress and asks whether to stop."""
_NICENESS = 10
"""Serving goes first."""
_BUSY_FOLDER_SECONDS = 5.0
_SECONDS_BETWEEN_SWEEPS = 600.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_log = logging.getLogger(__name__)
Say = Callable[[str], None]


class Worker:
    """Does the jobs of a queue. To be run in the main thread, where signals arrive."""

    def __init__(
        self, queue: Queue, settings: WorkerSettings, *, name: str | None = None, say: Say = _log.info
    ):
        """``name``: of this worker alone. ``say``: told of jobs that begin and end."""
        self.name = name or f"{platform.node()[:60]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._queue, self._settings, self._say = queue, settings, say
        self._stopping = threading.Event()
        self._task: Task | None = None
        self._next_sweep = -math.inf

    def run(self, *, until_idle: bool = False) -> None:
        """Work until a signal, or with ``until_idle`` until there is nothing to do."""
        with self._listening():
            while not self._stopping.is_set():
                try:
                    self._sweep()
                    job = self._queue.claim(self.name, KINDS)
                except (OverloadError, StorageError) as error:
                    self._say(f"{error} Trying again.")
                    self._stopping.wait(self._settings.poll_seconds)
                    continue
                if job is not None:
                    self._work(job)
                elif until_idle:
                    return
                else:
                    self._stopping.wait(self._settings.poll_seconds)

    def _sweep(self) -> None:
        """Remove jobs that are too old, now and then."""
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + _SECONDS_BETWEEN_SWEEPS
            for id in remove_old_jobs(self._queue, self._settings):
                self._say(f"Job {id} is too old to be kept, and was removed with what it made.")

    def _work(self, job: Job) -> None:
        folder = JobFolder.of(self._settings.jobs_folder, job.id)
        task = self._task = Task(job, folder, self._settings)
        self._say(f"Job {job.id} ({job.kind}): attempt {job.attempt}.")
        try:
            with self._beating(task):
                end = self._attempt(task)
                # The lease is kept until it is told, however long the data base is locked.
                self._tell(end)
        except LeaseLostError:
            self._say(f"Job {job.id} was taken by another worker.")
        finally:
            self._task = None

    def _attempt(self, task: Task) -> Callable[[], None]:
        """Do the job, and return what tells the queue how it went."""
        queue, job = self._queue, task.job
        try:
            with task.folder.held():
                result = get_kind(job.kind).load("run")(task)
        except JobBusyError as error:
            self._say(str(error))
            return lambda: queue.release(job, delay_seconds=_BUSY_FOLDER_SECONDS)
        except (InterruptedRunError, KeyboardInterrupt):
            if task.asked == "lost":
                raise LeaseLostError(job.id) from None
            if task.asked == "cancel":
                self._say(f"Job {job.id} was cancelled.")
                return lambda: queue.stopped(job)
            # Training listens for signals itself, so that this may be the first that is heard of one here.
            self._stopping.set()
            self._say(f"Job {job.id} is given back; it will go on from here.")
            return lambda: queue.release(job)
        except SynthError as error:
            return self._failure(job, error.code, error.title, str(error))
        except Exception as error:
            _log.exception("Job %s failed", job.id)
            detail = f"{type(error).__name__}: an error that should not happen; the worker's log has more."
            return self._failure(job, "internal-error", "The worker failed", detail)
        self._say(f"Job {job.id} succeeded.")
        return lambda: queue.succeed(job, result, task.progress())

    def _failure(self, job: Job, code: str, title: str, detail: str) -> Callable[[], None]:
        self._say(f"Job {job.id} failed: {detail}")
        return lambda: self._queue.fail(job, {"code": code, "title": title, "detail": detail})

    def _tell(self, end: Callable[[], None]) -> None:
        """Tell the queue, waiting for a data base in trouble as long as the job can be this worker's."""
        give_up = time.monotonic() + 10 * self._queue.lease_seconds
        while True:
            try:
                return end()
            except (OverloadError, StorageError) as error:
                if time.monotonic() > give_up:
                    raise
                self._say(f"{error} Trying again.")
                time.sleep(self._settings.poll_seconds)

    @contextlib.contextmanager
    def _beating(self, task: Task) -> Iterator[None]:
        """Keep the lease in a thread of its own, in which a wish to stop is heard as well."""
        done = threading.Event()
        thread = threading.Thread(target=self._beat, args=(task, done), name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _beat(self, task: Task, done: threading.Event) -> None:
        lease = self._queue.lease_seconds
        heard = time.monotonic()
        while not done.wait(lease / _HEARTBEATS):
            try:
                if self._queue.heartbeat(task.job, task.progress()):
                    task.ask("cancel")
                heard = time.monotonic()
            except LeaseLostError:
                task.ask("lost")
                return
            except Exception as error:  # the data base is locked, or not to be reached
                _log.warning("%s", error)
                if time.monotonic() - heard > lease:
                    # Someone else may have the job by now, and nobody here would know.
                    task.ask("lost")

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._stopping.is_set():
            raise KeyboardInterrupt
        self.stop()

    def stop(self) -> None:
        """Give the present job back at its next step, and end. May be called from any thread."""
        self._stopping.set()
        if self._task is not None:
            self._task.ask("stop")


def main(arguments: Sequence[str] | None = None) -> None:
    """The process: settings from the environment."""
    parser = argparse.ArgumentParser(prog="python -m synth.jobs.worker")
    parser.add_argument("--name", help="of this worker alone")
    parser.add_argument("--until-idle", action="store_true", help="end when there is nothing to do")
    parser.add_argument("--supervised", action="store_true", help="end when standard input is closed")
    given = parser.parse_args(arguments)
    os.nice(_NICENESS)
    settings = load_worker_settings()
    queue = settings.queue()
    worker = Worker(queue, settings, name=given.name)
    if given.supervised:
        threading.Thread(target=_stop_with_parent, args=(worker,), name="parent", daemon=True).start()
    try:
        worker.run(until_idle=given.until_idle)
    finally:
        queue.database.close()


def _stop_with_parent(worker: Worker) -> None:
    """A server that is killed cannot stop its workers; but its end of the pipe closes."""
    while os.read(0, 1024):
        pass
    worker.stop()


if __name__ == "__main__":
    try:
        main()
    except SynthError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(InterruptedRunError.exit_code)
