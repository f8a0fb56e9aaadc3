"""Jobs: long work that is asked for over HTTP and done by workers, one job at a time each.

What the server uses (the queue, the records, the kinds) imports neither ``offline`` nor ``training``; the
worker imports the runner of a kind when the first job of that kind comes.
"""

from synth.jobs.queue import Queue
from synth.jobs.records import Event, Job, State

__all__ = ["Event", "Job", "Queue", "State"]
