"""A data base that is locked, damaged, foreign, or not there."""

from __future__ import annotations

import os
import sqlite3

import psycopg
import pytest
from sqlalchemy import text

from synth.errors import ConfigError, OverloadError, StorageError
from synth.jobs.database import Database
from synth.jobs.queue import Queue


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "jobs.db"


@pytest.fixture
def opened(path):
    databases = []

    def start(**options) -> Queue:
        databases.append(Database(f"sqlite:///{path}", **options))
        return Queue(databases[-1])

    yield start
    for database in databases:
        database.close()


def test_the_file_is_made_at_the_first_use_in_wal_mode(path, opened):
    queue = opened()
    assert not path.exists()
    assert queue.list() == []
    with sqlite3.connect(path) as plain:
        assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    plain.close()


def test_by_default_it_lies_in_synth_home(synth_home):
    database = Database()
    Queue(database).list()
    database.close()
    assert (synth_home / "jobs.db").is_file()


def test_a_locked_file_is_waited_for_and_then_one_clear_error(path, opened):
    queue = opened(busy_seconds=0.05)
    queue.create("before", "generate", {})
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    for write in (
        lambda: queue.create("a", "generate", {}),
        lambda: queue.cancel("before"),
        lambda: queue.claim("w", {"generate"}),
    ):
        with pytest.raises(
            OverloadError, match=r"jobs\.db, is locked or busy: nothing came of 0\.05 seconds"
        ):
            write()
    assert [job.id for job in queue.list()] == ["before"]  # readers do not wait for writers
    blocker.close()
    assert queue.claim("w", {"generate"}).id == "before"


def test_a_locked_row_of_postgresql_is_waited_for_and_then_one_clear_error(postgres, queue_on):
    queue = queue_on(postgres, busy_seconds=0.05)
    queue.create("a", "generate", {})
    with psycopg.connect(postgres) as blocker:
        blocker.execute("SELECT * FROM synth_jobs FOR UPDATE")
        with pytest.raises(OverloadError, match="is locked or busy"):
            queue.cancel("a")
        assert queue.claim("w", {"generate"}) is None  # what is locked is skipped
    assert queue.cancel("a").state == "cancelled"


@pytest.fixture
def queue_on():
    databases = []

    def start(url, **options) -> Queue:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        databases.append(Database(url, **options))
        return Queue(databases[-1])

    yield start
    for database in databases:
        database.close()


def test_a_file_that_is_no_data_base_is_named(path, opened):
    path.parent.mkdir()
    path.write_text("These are no jobs. " * 100)
    for _ in range(2):  # each time anew, until it is mended
        with pytest.raises(StorageError, match=r"jobs\.db: it is damaged or no data base"):
            opened().list()
    path.unlink()
    assert opened().list() == []


def test_the_data_base_of_another_program_is_left_alone(path, opened):
    path.parent.mkdir()
    with sqlite3.connect(path) as plain:
        plain.execute("CREATE TABLE recipes (name TEXT)")
    plain.close()
    with pytest.raises(StorageError, match="is the data base of something else"):
        opened().list()


@pytest.mark.parametrize(("version", "age"), [(99, "a newer"), (0, "an older")])
def test_tables_of_another_version_are_refused(path, opened, version, age):
    queue = opened()
    with queue.database.writing() as session:
        session.execute(text(f"UPDATE synth_schema SET version = {version}"))
    with pytest.raises(StorageError, match=f"was made by {age} synth \\(schema {version}"):
        opened().list()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_one_clear_error(tmp_path, path, opened):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="may not be written"):
        opened().list()
    tmp_path.chmod(0o700)


def test_a_full_disk_is_said_in_one_sentence(opened):
    queue = opened()
    queue.list()
    with queue.database.writing() as session:
        pages = session.scalar(text("PRAGMA page_count"))
        session.execute(text(f"PRAGMA max_page_count = {pages}"))  # holds for this connection, the only one
    with pytest.raises(StorageError, match=r"jobs\.db: the disk is full\. Free some space"):
        queue.create("big", "generate", {"model": "x" * 100_000})


def test_a_server_that_is_not_there_is_one_clear_error(tmp_path):
    database = Database(f"postgresql://synth:secret@/jobs?host={tmp_path}")
    with pytest.raises(OverloadError, match=r"cannot be reached .*correct SYNTH_DATABASE") as caught:
        Queue(database).list()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["jobs.db", "sqlite://", "sqlite:///:memory:", "mysql://root@localhost/jobs", ""]
)
def test_other_data_bases_are_refused(url):
    with pytest.raises(ConfigError, match=r"SYNTH_DATABASE .*sqlite:///PATH"):
        Database(url)


def test_the_password_is_never_told():
    with pytest.raises(ConfigError) as caught:
        Database("mysql://root:secret@localhost/jobs")
    assert "secret" not in str(caught.value)
