"""Run by test_publish.py in a process of its own: publishes that are killed, refused, or many at a time.

Prints JSON: what is left in the store after each kind of trouble. Children are forked, so that torch is
loaded once.
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from synth.artifacts import Store
from synth.errors import StorageError

make_draft = runpy.run_path(str(Path(__file__).with_name("conftest.py")))["make_draft"]
DRAFT = make_draft()
STEPS = {"open", "os.mkdir", "os.rename", "fcntl.flock"}


def child(work: Callable[[], object]) -> int:
    """Start ``work`` in a forked process and return its id; it exits with 0, or 3 after a StorageError."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except StorageError as error:
        print(error, file=sys.stderr)
        code = 3
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """The exit code of a child, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die_at(step: int) -> None:
    """Kill this process just before the given one of its steps on the disk."""
    left = step
    sync = os.fsync

    def count() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted_sync(descriptor: int) -> None:
        count()
        sync(descriptor)

    os.fsync = counted_sync
    sys.addaudithook(lambda event, _: count() if event in STEPS else None)


def whole(store: Store) -> list[str]:
    """What is seen in the store, read to the last byte."""
    for entry in store.list():
        artifact = store.open(entry.reference)
        artifact.weights()
        artifact.training_ids()
    return [entry.reference for entry in store.list()]


def killed(store: Store) -> dict[str, object]:
    """Publish again and again, and be killed one step later each time until it succeeds."""
    kills = []
    while True:
        before = whole(store)

        def work(step: int = len(kills)) -> None:
            die_at(step)
            store.publish(DRAFT, "killed")

        code = ended(child(work))
        after = whole(store)
        assert after[: len(before)] == before
        if code == 0:
            return {"kills": kills, "seen": after, "left": sorted(os.listdir(store.root / "killed"))}
        kills.append([code, len(after) - len(before)])


def limited(store: Store) -> dict[str, object]:
    """Publish where no file may grow beyond 20 kB, which is less than the weights need."""
    store.publish(DRAFT, "limited")

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        store.publish(DRAFT, "limited")

    code = ended(child(work))
    return {"code": code, "seen": whole(store), "left": sorted(os.listdir(store.root / "limited"))}


def unwritable(store: Store) -> dict[str, object]:
    """Publish as a user who may not write there."""
    store.publish(DRAFT, "unwritable")
    store.root.chmod(0o555)
    (store.root / "unwritable").chmod(0o555)
    (store.root / "unwritable" / ".lock").chmod(0o444)

    def work(name: str) -> None:
        os.chdir(store.root)
        if os.geteuid() == 0:
            os.setuid(65534)
        Store(Path()).publish(DRAFT, name)

    codes = [ended(child(lambda name=name: work(name))) for name in ("unwritable", "new")]
    store.root.chmod(0o755)
    (store.root / "unwritable").chmod(0o755)
    return {"codes": codes, "seen": whole(store)}


def together(store: Store) -> dict[str, object]:
    """Three processes publish three versions each at the same time."""
    pids = [child(lambda: [store.publish(DRAFT, "together") for _ in range(3)]) for _ in range(3)]
    return {"codes": [ended(pid) for pid in pids], "seen": whole(store)}


if __name__ == "__main__":
    DRAFT.payload()  # imports what publishing imports
    kinds = (killed, limited, unwritable, together)
    print(json.dumps({kind.__name__: kind(Store(Path(sys.argv[1]) / kind.__name__)) for kind in kinds}))
