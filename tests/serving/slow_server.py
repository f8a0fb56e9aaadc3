"""Run by tests in a process of its own: a server whose generator may wait to be let go.

Arguments: store, and if it is to wait: pipe that it writes to when it is asked for images, pipe that it then
waits on.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from synth.serving.server import run
from synth.serving.settings import load_settings

FakeGenerator = runpy.run_path(str(Path(__file__).with_name("conftest.py")))["FakeGenerator"]


def wait() -> None:
    if len(sys.argv) == 2:
        return
    Path(sys.argv[2]).write_text("asked")
    Path(sys.argv[3]).read_text()


run(
    load_settings(store=sys.argv[1], port=0, access_log="json" if len(sys.argv) == 2 else "off", workers=0),
    say=lambda line: print(line, file=sys.stderr, flush=True),
    open_generator=lambda artifact: FakeGenerator(artifact, wait),
)
