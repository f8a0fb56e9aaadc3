"""Publishing in trouble: whatever happens, a version is there as a whole or not at all."""

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from synth.artifacts import files
from synth.errors import StorageError


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict:
    script = Path(__file__).with_name("publish_in_trouble.py")
    folder = tmp_path_factory.mktemp("trouble")
    done = subprocess.run([sys.executable, script, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "messages": done.stderr}


def test_a_kill_at_any_step_leaves_all_or_nothing(outcomes):
    outcome = outcomes["killed"]
    codes, gained = zip(*outcome["kills"], strict=True)
    assert set(codes) == {-9}
    assert len(codes) > 15
    # Killed after the rename, the version is there, and whole; before it, there is none.
    assert sorted(gained) == list(gained)
    assert gained[0] == 0
    assert outcome["seen"] == [f"killed@{number + 1}" for number in range(sum(gained) + 1)]


def test_what_a_killed_publisher_left_is_cleared_by_the_next(outcomes):
    assert [name for name in outcomes["killed"]["left"] if name.startswith(".")] == [".lock"]


def test_a_file_that_the_disk_does_not_take_is_a_storage_error_and_changes_nothing(outcomes):
    assert outcomes["limited"] == {"code": 3, "seen": ["limited@1"], "left": [".lock", "1"]}
    assert "larger than allowed" in outcomes["messages"]


def test_a_store_that_may_not_be_written_is_a_storage_error(outcomes):
    assert outcomes["unwritable"] == {"codes": [3, 3], "seen": ["unwritable@1"]}
    assert "may not be written" in outcomes["messages"]


def test_publishers_at_the_same_time_get_a_version_each(outcomes):
    assert outcomes["together"]["codes"] == [0, 0, 0]
    assert outcomes["together"]["seen"] == [f"together@{number}" for number in range(1, 10)]


def test_a_disk_that_fills_at_any_moment_leaves_the_store_as_it_was(store, draft, monkeypatch):
    store.publish(draft, "pets")
    sync = os.fsync
    for step in range(7):  # five files, their folder, and the folder of the name
        left = step

        def full(descriptor: int) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match=r"the disk is full\. Free some space"):
            store.publish(draft, "pets")
        assert not (store.root / "pets" / ".publishing").exists()
        assert all(entry.card for entry in store.list())
    # Only the last failure came after the version appeared, and that version is whole.
    assert store.versions("pets") == [1, 2]
    monkeypatch.undo()
    assert store.publish(draft, "pets").manifest.version == 3


def test_ctrl_c_while_publishing_leaves_nothing(store, draft, monkeypatch):
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    store.root.joinpath("pets").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        store.publish(draft, "pets")
    assert os.listdir(store.root / "pets") == [".lock"]


def test_a_version_that_exists_is_never_replaced(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "kept").touch()
    with pytest.raises(OSError, match="not empty"):
        files.publish_folder(tmp_path / ".publishing", tmp_path / "1", {"new": b""})
    assert os.listdir(tmp_path) == ["1"]
    assert os.listdir(tmp_path / "1") == ["kept"]


def test_threads_that_publish_at_the_same_time_get_a_version_each(store, draft):
    threads = [threading.Thread(target=store.publish, args=(draft, "pets")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.error for entry in store.list()] == [None] * 4


def test_a_removal_that_was_cut_off_is_finished_by_the_next_change(store, draft):
    store.publish(draft, "pets")
    os.rename(store.root / "pets" / "1", store.root / "pets" / ".removed-1")
    assert store.list() == []
    store.publish(draft, "pets")
    assert os.listdir(store.root / "pets" / ".removed-1") == []
