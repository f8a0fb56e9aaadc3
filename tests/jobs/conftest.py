"""Queues on both data bases, with a clock that the test moves."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

import synth.jobs.generate
from synth.artifacts import Store
from synth.jobs.database import Database
from synth.jobs.kinds import get_kind
from synth.jobs.queue import Queue
from synth.jobs.settings import WorkerSettings
from synth.jobs.worker import Worker
from synth.sampling import Sampler


def _postgres_program(name: str) -> str | None:
    """Debian keeps these programs out of PATH."""
    places = [str(path.parent) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]
    return shutil.which(name, path=os.pathsep.join([*reversed(places), os.environ.get("PATH", "")]))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL that listens on a Unix socket only, in a folder that goes with it."""
    initdb, pg_ctl = _postgres_program("initdb"), _postgres_program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql)")
    # It refuses to run as root, and a socket's path may have 107 bytes only.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="synth-pg-"))
    if user is not None:
        shutil.chown(folder, user)
    data, log = folder / "data", folder / "log"

    def run(*words: object) -> None:
        # A file and no pipe: the server keeps it open.
        with (folder / "out").open("w+") as out:
            done = subprocess.run(
                [str(word) for word in words], user=user, cwd=folder, stdout=out, stderr=out
            )
            if done.returncode:
                out.seek(0)
                pytest.fail(f"{words[0]} failed: {out.read()}")

    run(initdb, "--auth=trust", "--username=synth", "--encoding=UTF8", "--no-sync", "-D", data)
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=60"
    run(pg_ctl, "start", "--wait", "-D", data, "-l", log, "-o", options)
    try:
        yield f"postgresql://synth@/postgres?host={folder}"
    finally:
        run(pg_ctl, "stop", "--wait", "--mode=immediate", "-D", data)
        shutil.rmtree(folder)


@dataclass
class Clock:
    """Seconds, as the test likes."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty data base of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.db'}"
    server = request.getfixturevalue("postgres")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return server


@pytest.fixture
def open_queue(url: str, clock: Clock) -> Iterator[Callable[..., Queue]]:
    """Opens the data base once more, as another process would."""
    opened = []

    def start(**options: float) -> Queue:
        opened.append(Database(url, **options))
        return Queue(opened[-1], clock=clock)

    yield start
    for database in opened:
        database.close()


@pytest.fixture
def queue(open_queue: Callable[..., Queue]) -> Queue:
    return open_queue()


@pytest.fixture(scope="session")
def store(tiny, tmp_path_factory) -> Store:
    """With the model toys: grey 8 x 8 images of two classes."""
    made = Store(tmp_path_factory.mktemp("jobs") / "store")
    tiny.untrained(made)
    return made


@pytest.fixture
def settings(store, synth_home, monkeypatch) -> WorkerSettings:
    """Also for workers in processes of their own."""
    for name, value in {"STORE": store.root, "DEVICE": "cpu", "POLL_SECONDS": 0.05}.items():
        monkeypatch.setenv(f"SYNTH_{name}", str(value))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")  # else the manifest tells when it was made
    quick = functools.partial(Sampler, warmup_seconds=0)
    monkeypatch.setattr(synth.jobs.generate, "Sampler", quick)
    return WorkerSettings()


@pytest.fixture
def home_queue(settings):
    queue = settings.queue()
    yield queue
    queue.database.close()


@pytest.fixture
def put(home_queue, store):
    """Make a job as the server does."""

    def put(id, **body):
        if body.get("kind", "generate") == "generate":
            body = {"kind": "generate", "model": "toys", "count": 40, "shard_size": 10, "seed": 3, **body}
        parsed = get_kind(body["kind"]).load("body").model_validate(body)
        return home_queue.create(
            id, parsed.kind, parsed.model_dump(mode="json"), pinned=parsed.pin(store, home_queue)
        )[0]

    return put


@pytest.fixture
def work(home_queue, settings):
    """Do all there is to do, in this process; returns what the worker said."""

    def work(**changes):
        said = []
        Worker(home_queue, settings.model_copy(update=changes), say=said.append).run(until_idle=True)
        return said

    return work
