"""A training that is stopped in the middle of saving its state.

python stopped.py SIGNAL SAVES WORD...: run ``synth WORD...``, saving the state at each step, and send this
process the signal just before the given save takes the place of the one before.
"""

import functools
import os
import signal
import sys

import synth.training
from synth.cli import main

if __name__ == "__main__":
    number, saves = signal.Signals[sys.argv[1]], int(sys.argv[2])
    synth.training.fit = functools.partial(synth.training.fit, save_seconds=0.0)

    def count(event: str, arguments: tuple[object, ...]) -> None:
        global saves
        if event == "os.rename" and str(arguments[1]).endswith("state.pt"):
            saves -= 1
            if saves == 0:
                os.kill(os.getpid(), number)

    sys.addaudithook(count)
    sys.exit(main(sys.argv[3:]))
