"""A worker that is killed in the middle of a job.

python killed.py SIGNAL SHARDS: work, and send this process the signal just before shard number SHARDS of a
data set counts as finished.
"""

import functools
import os
import signal
import sys

import synth.jobs.generate
from synth.jobs.worker import main
from synth.sampling import Sampler

if __name__ == "__main__":
    number, shards = signal.Signals[sys.argv[1]], int(sys.argv[2])

    def count(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.rename" and str(arguments[1]).endswith(f"shards/{shards - 1:06d}.json"):
            os.kill(os.getpid(), number)

    synth.jobs.generate.Sampler = functools.partial(Sampler, warmup_seconds=0)
    sys.addaudithook(count)
    main(["--name", "killed"])
