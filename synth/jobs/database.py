"""The data base of jobs: SQLite in WAL mode or PostgreSQL, and its troubles said in one sentence."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import URL, Engine, create_engine, event, inspect, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from synth.artifacts.files import exclusive, make_folder, storage_errors
from synth.errors import ConfigError, OverloadError, StorageError
from synth.home import home
from synth.jobs.tables import SCHEMA, Base, JobRow, SchemaRow
from synth.text import brief

BUSY_SECONDS = 5.0
_BUSY = {
    "SQLITE_BUSY", "SQLITE_LOCKED",  # and their extended codes
    "55P03",  # lock_not_available
    "57014",  # query_canceled: statement_timeout
    "40P01", "40001",  # deadlock_detected, serialization_failure
    "53300",  # too_many_connections
}  # fmt: skip


class Database:
    """Opened at the first use, so that a damaged one keeps nobody from starting. For any number of threads.

    Everything raises OverloadError where the data base is locked, busy or not to be reached (it is waited
    for, up to ``busy_seconds``), and StorageError where it is damaged, foreign, of a newer synth, or refuses
    to be written.
    """

    def __init__(self, url: str | None = None, *, busy_seconds: float = BUSY_SECONDS) -> None:
        """``url``: ``sqlite:///PATH`` or ``postgresql://...``; by default SYNTH_HOME/jobs.db.

        Raises ConfigError for any other.
        """
        self._url = _read_url(url)
        self._busy_seconds = busy_seconds
        self._opening = threading.Lock()
        self._open: Engine | None = None
        path = self._url.database if self._url.get_backend_name() == "sqlite" else None
        self._path = None if path is None else Path(path)
        self.name = str(self._path or self._url.render_as_string(hide_password=True))
        """For messages; without the password."""

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the data base, and changes nothing."""
        with self._errors(), Session(self._engine()) as session, session.begin():
            yield session

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that is committed at the end; on SQLite nobody else writes in the meantime."""
        engine = self._engine().execution_options(immediate=True)
        with self._errors(), Session(engine) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close all connections; the next use opens them again."""
        with self._opening:
            if self._open is not None:
                self._open.dispose()
                self._open = None

    def _engine(self) -> Engine:
        with self._opening:
            if self._open is None:
                with self._errors():
                    self._open = self._connect()
            return self._open

    def _connect(self) -> Engine:
        if self._path is None:
            engine = create_engine(self._url, connect_args=self._postgres_arguments(), pool_pre_ping=True)
            _prepare(engine, self.name)
            return engine
        engine = create_engine(self._url, connect_args={"timeout": self._busy_seconds})
        event.listen(engine, "connect", _leave_transactions_to_us)
        event.listen(engine, "begin", _begin)
        with storage_errors("open the data base of jobs", self._path):
            make_folder(self._path.parent)
            # Two processes that make the file at once would find it locked, however long they waited.
            with exclusive(self._path.with_name(self._path.name + ".lock")):
                with contextlib.closing(sqlite3.connect(self._path, timeout=self._busy_seconds)) as plain:
                    if plain.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                        plain.execute("PRAGMA journal_mode = wal")
                _prepare(engine, self.name)
        return engine

    def _postgres_arguments(self) -> dict[str, Any]:
        milliseconds = max(1, round(self._busy_seconds * 1000))
        return {
            "connect_timeout": max(2, round(self._busy_seconds)),
            "options": f"-c lock_timeout={milliseconds} -c statement_timeout={2 * milliseconds}",
        }

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise  # the queue's own affair
        except (DBAPIError, PoolTimeoutError, sqlite3.Error) as error:
            raise self._translate(error) from error

    def _translate(
        self, error: DBAPIError | PoolTimeoutError | sqlite3.Error
    ) -> OverloadError | StorageError:
        cause = error.orig if isinstance(error, DBAPIError) else error
        assert isinstance(cause, Exception)
        code = str(getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or "")
        unreachable = isinstance(error, DBAPIError) and self._path is None and not code
        if _any_prefix(code) or isinstance(error, PoolTimeoutError):
            return OverloadError(
                f"The data base of jobs, {self.name}, is locked or busy: nothing came of "
                f"{self._busy_seconds:g} seconds of waiting. Try again."
            )
        if unreachable or code.startswith(("08", "57P")):
            return OverloadError(
                f"The data base of jobs, {self.name}, cannot be reached ({brief(cause)}). Start it, or "
                "correct SYNTH_DATABASE.",
                retry_after_seconds=5,
            )
        if code.startswith(("SQLITE_FULL", "53100")):
            reason = "the disk is full. Free some space and try again"
        elif code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            reason = f"it is damaged or no data base ({brief(cause)}). Restore it, or move it out of the way"
        else:
            reason = f"{brief(cause)}. Check that it can be read and written"
        return StorageError(f"Cannot use the data base of jobs, {self.name}: {reason}.")


def _any_prefix(code: str) -> bool:
    return any(code == busy or code.startswith(busy + "_") for busy in _BUSY)


def _read_url(text: str | None) -> URL:
    if text is None:
        return URL.create("sqlite", database=str(home() / "jobs.db"))
    try:
        url = make_url(text)
        if url.drivername in ("postgresql", "postgres"):
            url = url.set(drivername="postgresql+psycopg")
        if url.drivername == "postgresql+psycopg":
            url.get_dialect()().import_dbapi()
        elif url.drivername != "sqlite" or url.database in (None, "", ":memory:"):
            raise ConfigError(
                "SYNTH_DATABASE must be sqlite:///PATH (four slashes for an absolute path) or "
                f"postgresql://USER:PASSWORD@HOST/NAME, not {url.render_as_string(hide_password=True)!r}."
            )
    except ArgumentError:
        raise ConfigError(
            "SYNTH_DATABASE cannot be read; write sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME."
        ) from None
    except ImportError:
        raise ConfigError(
            "PostgreSQL needs a driver: pip install 'synth-service[postgres]', or leave SYNTH_DATABASE out."
        ) from None
    return url


def _prepare(engine: Engine, name: str) -> None:
    """Make the tables where there are none; StorageError where there are others."""
    with engine.begin() as connection:  # without waiting for writers, where all is there
        if _check(connection, name):
            return
    with engine.execution_options(immediate=True).begin() as connection:
        if engine.dialect.name == "postgresql":  # two that make the tables at once would stumble
            connection.execute(select(sqlalchemy.func.pg_advisory_xact_lock(0x73796E7468)))
        if not _check(connection, name):
            Base.metadata.create_all(connection)
            connection.execute(sqlalchemy.insert(SchemaRow).values(version=SCHEMA))


def _check(connection: sqlalchemy.Connection, name: str) -> bool:
    """Whether the tables are there; StorageError where they are of another version, or others are."""
    tables = set(inspect(connection).get_table_names())
    if SchemaRow.__tablename__ not in tables:
        if JobRow.__tablename__ in tables or (tables and connection.dialect.name == "sqlite"):
            raise StorageError(f"{name} is the data base of something else. Name another in SYNTH_DATABASE.")
        return False
    version = connection.scalar(select(SchemaRow.version))
    if version != SCHEMA:
        age = "a newer" if (version or 0) > SCHEMA else "an older"
        raise StorageError(
            f"{name} was made by {age} synth (schema {version}, and this one has {SCHEMA}). Use that "
            "synth, or another data base (SYNTH_DATABASE)."
        )
    return True


def _leave_transactions_to_us(connection: sqlite3.Connection, record: object) -> None:
    # Python's driver would begin transactions when it sees fit, and never an immediate one.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = on")


def _begin(connection: sqlalchemy.Connection) -> None:
    # A transaction that first reads and then writes fails, without any waiting, where another has written.
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
