"""Removing jobs that have ended, with what they made in the folder of jobs: one, or all that are too old.

What they put elsewhere stays: a model that a train job published belongs to the store.
"""

from __future__ import annotations

import logging

from synth.errors import SynthError
from synth.jobs.folder import JobFolder, sweep
from synth.jobs.queue import Queue
from synth.jobs.settings import JobSettings

_SECONDS_PER_DAY = 86_400.0

_log = logging.getLogger(__name__)


def remove_job(queue: Queue, settings: JobSettings, id: str) -> bool:
    """Remove a job that has ended; False if there is none of that id.

    What it made is out of sight at once, and deleted then. Killed in between, the next removal does the rest.

    Raises:
        JobActiveError: it waits or runs.
        JobBusyError: a worker that lost it is still at work in its folder.
        StorageError: the folder cannot be deleted.
    """
    removed = queue.remove(id, JobFolder.of(settings.jobs_folder, id).discard)
    sweep(settings.jobs_folder)
    return removed


def remove_old_jobs(queue: Queue, settings: JobSettings) -> list[str]:
    """Remove the jobs that ended more than ``jobs_keep_days`` ago, and return their ids; none without it.

    What cannot be removed is logged, and tried again the next time.
    """
    if settings.jobs_keep_days is None:
        return []
    removed = []
    for id in queue.ended_before(settings.jobs_keep_days * _SECONDS_PER_DAY):
        try:
            if remove_job(queue, settings, id):
                removed.append(id)
        except SynthError as error:
            _log.warning("The job %s cannot be removed: %s", id, error)
    return removed
