import errno
import fcntl
import json
import os
import shutil
from hashlib import sha256

import pytest

from synth.data.writers import files, open_writer, read_manifest
from synth.errors import OutputExistsError, ResumeError, StorageError, UsageError

FORMATS = ["imagefolder", "webdataset", "npz"]


class Killed(BaseException):
    """Stands for a process that dies at this point."""


def contents(folder):
    """All files by name; the manifest without its time, which alone may differ between equal data sets."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    if "manifest.json" in found:
        found["manifest.json"] = {**json.loads(found["manifest.json"]), "created": None}
    return found


def write(out, batches, *, format_name="imagefolder", plan=None, stop_after=None, **flags):
    with open_writer(format_name, out, plan=plan or {"seed": 7}, **flags) as writer:
        for number, batch in enumerate(batches):
            if number == stop_after:
                raise Killed
            if writer.manifest is None and number not in writer.completed:
                writer.write(batch, number)
    return writer.manifest


@pytest.fixture
def batches(make_batch):
    return [make_batch(0, 3), make_batch(3, 3), make_batch(6, 1)]


def test_nothing_is_visible_before_the_data_set_is_complete(tmp_path, batches):
    with open_writer("imagefolder", tmp_path / "out", plan={}) as writer:
        writer.write(batches[0])
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".synth-partial"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cat",
        "dog",
        "manifest.json",
        "metadata.jsonl",
    ]


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_resumed_data_set_equals_an_uninterrupted_one(tmp_path, batches, format_name):
    write(tmp_path / "whole", batches, format_name=format_name)
    with pytest.raises(Killed):
        write(tmp_path / "out", batches, format_name=format_name, stop_after=2)
    # What a killed process leaves of the shard that it was writing.
    (tmp_path / "out" / ".synth-partial" / "data" / "000002.tar").write_bytes(b"half")
    (tmp_path / "out" / ".synth-partial" / "parts" / "images-000002.npy").write_bytes(b"half")
    if format_name != "webdataset":
        (tmp_path / "out" / ".synth-partial" / "data" / "000002.tar").unlink()
    write(tmp_path / "out", batches, format_name=format_name, resume=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("former", [False, True])
def test_dying_at_any_step_of_completing_loses_nothing(tmp_path, batches, make_batch, monkeypatch, former):
    write(tmp_path / "whole", batches[:1], format_name="npz")
    if former:
        write(tmp_path / "staged", [make_batch(0, 1, seed=1)], format_name="npz", plan={"seed": 1})
    with pytest.raises(Killed):
        write(tmp_path / "staged", [*batches[:1], None], format_name="npz", stop_after=1, overwrite=former)

    def complete(out, steps):
        """Close the data set, dying after so many changes to the disk; True when it lives to the end."""
        left = steps

        def dying(change):
            def call(*arguments, **options):
                nonlocal left
                left -= 1
                if left < 0:
                    raise Killed
                return change(*arguments, **options)

            return call

        writer = open_writer("npz", out, plan={"seed": 7}, resume=True)
        with monkeypatch.context() as patch:
            for name in ("replace", "fsync", "unlink", "rmdir"):
                patch.setattr(os, name, dying(getattr(os, name)))
            try:
                with writer:
                    pass
            except Killed:
                return False
        return True

    steps = 0
    while True:
        out = tmp_path / f"out{steps}"
        shutil.copytree(tmp_path / "staged", out)
        alive = complete(out, steps)
        if (out / "manifest.json").exists():
            # Whatever is declared complete is complete, be it the former or the new one.
            for file in read_manifest(out).files:
                assert sha256((out / file.path).read_bytes()).hexdigest() == file.sha256
        write(out, batches[:1], format_name="npz", resume=True)
        assert contents(out) == contents(tmp_path / "whole")
        if alive:
            break
        steps += 1
    assert steps > 10


def test_resuming_a_finished_data_set_changes_nothing(tmp_path, batches):
    first = write(tmp_path, batches)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert write(tmp_path, batches, resume=True) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_resuming_where_nothing_is_starts(tmp_path, batches):
    assert write(tmp_path / "new" / "out", batches, resume=True).count == 7


def test_resuming_with_another_plan_names_the_differences_and_keeps_all(tmp_path, batches):
    plan = {"seed": 7, "parameters": {"temperature": 0.5}}
    with pytest.raises(Killed):
        write(tmp_path, batches, plan=plan, stop_after=1)
    before = contents(tmp_path)
    other = {"seed": 8, "parameters": {"temperature": 1}}
    with pytest.raises(
        ResumeError, match=r"parameters.temperature is 0.5 on disk, 1 now; seed is 7 on disk, 8"
    ):
        write(tmp_path, batches, plan=other, resume=True)
    assert contents(tmp_path) == before
    write(tmp_path, batches, plan=plan, resume=True)
    with pytest.raises(ResumeError, match="seed is 7 on disk, 8 now"):
        write(tmp_path, batches, plan=other, resume=True)


def test_shards_made_elsewhere_are_not_mixed(tmp_path, batches, make_batch):
    with pytest.raises(Killed):
        write(tmp_path, batches, stop_after=1)
    with pytest.raises(ResumeError, match=r'fingerprint.device is "cpu" on disk, "cuda:0" now'):
        write(tmp_path, [batches[0], make_batch(3, 3, device="cuda:0")], resume=True)
    assert write(tmp_path, batches, resume=True).count == 7


def test_a_finished_shard_that_lost_a_file_is_made_again(tmp_path, batches):
    with pytest.raises(Killed):
        write(tmp_path / "out", batches, stop_after=2)
    next((tmp_path / "out").rglob("000000000001.png")).unlink()
    write(tmp_path / "out", batches, resume=True)
    write(tmp_path / "whole", batches)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("flags", [{}, {"overwrite": True}, {"resume": True}])
def test_a_users_files_are_refused_and_never_touched(tmp_path, batches, flags):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.png").write_bytes(b"mine")
    (tmp_path / "manifest.json").write_text('{"name": "theirs"}')
    before = contents(tmp_path)
    with pytest.raises(OutputExistsError, match="not the manifest of a synth data set"):
        write(tmp_path, batches, **flags)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(OutputExistsError, match=r"holiday/beach\.png.*never deleted"):
        write(tmp_path, batches, **flags)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday"]
    assert (tmp_path / "holiday" / "beach.png").read_bytes() == before["holiday/beach.png"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path, batches):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputExistsError, match="is a file"):
        write(tmp_path / "out", batches, overwrite=True)


def test_a_data_set_is_replaced_only_with_overwrite_and_only_by_a_complete_one(tmp_path, batches, make_batch):
    write(tmp_path, batches)
    before = contents(tmp_path)
    with pytest.raises(OutputExistsError, match=r"finished data set \(7 images, imagefolder\).*--overwrite"):
        write(tmp_path, batches)
    with pytest.raises(Killed):
        write(tmp_path, [make_batch(0, 9, seed=8)] * 2, stop_after=1, plan={"seed": 8}, overwrite=True)
    with pytest.raises(OutputExistsError, match=r"unfinished data set \(1 finished shard\).*--resume"):
        write(tmp_path, batches)
    shutil.rmtree(tmp_path / ".synth-partial")
    assert contents(tmp_path) == before
    write(tmp_path, [make_batch(0, 9, classes=None)], format_name="npz", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npz", "manifest.json"]


def test_overwrite_keeps_what_the_user_put_among_the_files(tmp_path, batches):
    write(tmp_path, batches)
    (tmp_path / "cat" / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"cat/notes\.txt"):
        write(tmp_path, batches, overwrite=True)
    (tmp_path / "cat" / "notes.txt").unlink()
    writer = open_writer("imagefolder", tmp_path, plan={}, overwrite=True)
    writer.write(batches[0])
    (tmp_path / "cat" / "late.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"cat/late\.txt"), writer:
        pass
    assert (tmp_path / "cat" / "late.txt").read_text() == "mine"
    assert read_manifest(tmp_path).count == 7
    (tmp_path / "cat" / "late.txt").unlink()
    with open_writer("imagefolder", tmp_path, plan={}, resume=True) as writer:
        assert writer.manifest.count == 3


def test_a_failure_before_the_first_shard_leaves_nothing(tmp_path, batches):
    with pytest.raises(Killed):
        write(tmp_path / "out", batches, stop_after=0)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    with pytest.raises(Killed):
        write(tmp_path / "out", batches, stop_after=0)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_keeps_the_finished_shards(tmp_path, batches, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    writer = open_writer("npz", tmp_path / "out", plan={"seed": 7})
    writer.write(batches[0])
    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(StorageError, match=r"disk is full.*--resume"), writer:
        writer.write(batches[1])
    monkeypatch.undo()
    write(tmp_path / "out", batches, format_name="npz", resume=True)
    write(tmp_path / "whole", batches, format_name="npz")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_two_processes_do_not_write_to_one_folder(tmp_path, batches):
    with pytest.raises(Killed):
        write(tmp_path, batches, stop_after=1)
    with open(tmp_path / ".synth-partial" / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for flags in ({"resume": True}, {"overwrite": True}):
            with pytest.raises(OutputExistsError, match="Another process is writing"):
                write(tmp_path, batches, **flags)
    assert write(tmp_path, batches, resume=True).count == 7


def test_resume_and_overwrite_exclude_each_other(tmp_path):
    with pytest.raises(UsageError, match="not both"):
        open_writer("npz", tmp_path, plan={}, resume=True, overwrite=True)


def test_a_damaged_plan_is_reported_and_can_be_overwritten(tmp_path, batches):
    with pytest.raises(Killed):
        write(tmp_path, batches, stop_after=1)
    (tmp_path / ".synth-partial" / "plan.json").write_text("{")
    with pytest.raises(StorageError, match=r"plan\.json is damaged.*--overwrite"):
        write(tmp_path, batches, resume=True)
    assert write(tmp_path, batches, overwrite=True).count == 7
