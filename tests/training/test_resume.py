"""Runs that are stopped, and go on."""

from __future__ import annotations

import contextlib
import csv
import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from synth.artifacts import Artifact, Store
from synth.cli import main
from synth.errors import (
    InterruptedRunError,
    NotFoundError,
    ResumeError,
    StorageError,
    UsageError,
)
from synth.training.runs import latest_run
from synth.training.vae import VAEModule


def same(first: Artifact, second: Artifact) -> bool:
    ours, theirs = first.weights(), second.weights()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture
def stopped(tiny, source, listen):
    """A run that Ctrl-C has stopped after 48 of 96 images."""
    with pytest.raises(InterruptedRunError):
        tiny.fit(source, reporter=listen(48, lambda: os.kill(os.getpid(), signal.SIGINT)))
    return latest_run("toy")


@pytest.fixture
def full_disk(tmp_path, monkeypatch) -> Callable[[Path], None]:
    """Makes the next write of a file fail as on a full disk, by having it opened as the device for that.

    Nothing is ever created or replaced where that device should be: where it is missing or another thing,
    these tests bring one of their own, which takes an administrator, or are skipped.
    """
    own = tmp_path / "full"
    with contextlib.suppress(OSError):
        os.mknod(own, stat.S_IFCHR | 0o600, os.makedev(1, 7))
    device = next(filter(gives_enospc, (own, Path("/dev/full"))), None)
    if device is None:
        pytest.skip("needs the device /dev/full, which is missing here or another thing")
    really_open = os.open

    def fill(path: Path) -> None:
        def open_full(name, flags, *arguments, **options):
            if str(name).startswith(str(path)):
                monkeypatch.setattr(os, "open", really_open)
                return really_open(device, os.O_WRONLY)
            return really_open(name, flags, *arguments, **options)

        monkeypatch.setattr(os, "open", open_full)

    return fill


def gives_enospc(path: Path) -> bool:
    if not path.is_char_device():
        return False
    try:
        with open(os.open(path, os.O_WRONLY), "wb", buffering=0) as file:
            file.write(b"x")
    except OSError as error:
        return error.errno == errno.ENOSPC
    return False


@pytest.fixture
def finished(tiny, source) -> Artifact:
    return tiny.fit(source)


def test_processes_that_were_stopped_at_half_go_on_to_the_same_generator(
    tiny, source, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    script = Path(__file__).with_name("stopped.py")
    words = ["train", "vae", "--data", source.name, *tiny.flags(), "--device", "cpu"]
    processes = {
        name: subprocess.Popen(
            [sys.executable, str(script), number, "3", *words, "--name", name],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, number in [("stopped", "SIGINT"), ("killed", "SIGKILL")]
    }
    expected = tiny.fit(source, name="whole")
    said = {name: process.communicate()[1] for name, process in processes.items()}
    codes = {name: process.returncode for name, process in processes.items()}
    assert codes == {"stopped": 130, "killed": -signal.SIGKILL}, said
    assert said["stopped"].splitlines()[-1] == (
        f"error: Stopped after 48 images; the state is saved in {latest_run('stopped').path}. "
        "Go on with: synth train vae --name stopped --resume"
    )
    for name, seen in [("stopped", 48), ("killed", 32)]:
        assert latest_run(name).load_state()["images_seen"] == seen
        assert Store().versions(name) == []
        again = [*words, "--name", name] if name == "killed" else ["train", "vae", "--name", name, "--resume"]
        assert main(again) == 0
        captured = capsys.readouterr()
        assert captured.out == f"{name}@1\n"
        assert ("Going on with the unfinished run" in captured.err) == (name == "killed")
        resumed = Store().open(name)
        assert same(resumed, expected)
        assert resumed.manifest.digest == expected.manifest.digest


def test_a_resumed_run_logs_and_shows_what_an_uninterrupted_one_does(tiny, source, listen, monkeypatch):
    monkeypatch.setattr("synth.training.loop._STEPS_BETWEEN_LOGS", 2)
    tiny.fit(source, name="whole")
    with pytest.raises(InterruptedRunError):
        tiny.fit(source, reporter=listen(48, lambda: os.kill(os.getpid(), signal.SIGINT)))
    with monkeypatch.context() as patch:
        patch.setattr(Store, "publish", refuse)
        with pytest.raises(StorageError):  # one more stop, after all is logged
            tiny.fit(source, resume=True)
    tiny.fit(source, resume=True)
    logs = [(latest_run(name).path / "metrics.csv").read_text() for name in ("whole", "toy")]
    rows = list(csv.reader(logs[0].splitlines()))
    assert logs[0] == logs[1]
    assert [row for row in rows if row[1] == "loss"] == [
        [str(seen), "loss", value] for seen, value in zip((32, 64, 96), column(rows, "loss"), strict=True)
    ]
    assert len({(seen, name) for seen, name, _ in rows}) == len(rows)
    assert {"reconstruction_rmse", "kl_nats"} <= {name for _, name, _ in rows}
    pictures = [sorted((latest_run(name).path / "previews").iterdir()) for name in ("whole", "toy")]
    assert [path.name for path in pictures[0]] == [path.name for path in pictures[1]] != []
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*pictures, strict=True))


def column(rows: list[list[str]], name: str) -> list[str]:
    return [row[2] for row in rows if row[1] == name]


def refuse(*_: object) -> None:
    raise StorageError("full")


def test_a_service_that_is_told_to_stop_saves_too(tiny, source, listen):
    with pytest.raises(InterruptedRunError):
        tiny.fit(source, reporter=listen(48, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    assert latest_run("toy").load_state()["images_seen"] == 48
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_second_ctrl_c_stops_at_once(tiny, source, listen):
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedRunError, match=r"Stopped at once; what was saved last is in .*--resume"):
        tiny.fit(source, reporter=listen(48, twice))
    assert latest_run("toy").load_state()["images_seen"] == 32
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


@pytest.mark.parametrize("phase", ["complete", "measure"])
def test_ctrl_c_after_the_last_step_stops_at_once_and_the_rest_is_done_by_resume(
    tiny, source, finished, monkeypatch, phase
):
    def interrupted(self, images, kind="", limit=None):
        if limit is None:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(VAEModule, phase, interrupted)
        with pytest.raises(InterruptedRunError, match=r"after 96 images; the state is saved"):
            tiny.fit(source, name="late")
    assert Store().versions("late") == []
    assert same(tiny.fit(source, name="late", resume=True), finished)


def test_ctrl_c_while_publishing_waits_for_the_end_of_it(tiny, source, monkeypatch):
    publish = Store.publish

    def interrupted(self, draft, name):
        os.kill(os.getpid(), signal.SIGINT)
        return publish(self, draft, name)

    monkeypatch.setattr(Store, "publish", interrupted)
    artifact = tiny.fit(source)
    assert latest_run("toy").record()["artifact"] == artifact.manifest.reference == "toy@1"


def test_a_thread_can_train(tiny, source, finished):
    made = []
    thread = threading.Thread(target=lambda: made.append(tiny.fit(source, name="threaded")))
    thread.start()
    thread.join()
    assert same(made[0], finished)


def test_a_run_that_was_stopped_before_its_first_save_begins_again(tiny, source, stopped, finished):
    stopped.state_file.unlink()
    assert same(tiny.fit(source, resume=True, name="toy"), finished)


def test_another_recipe_is_refused_with_what_differs(tiny, source, stopped):
    with pytest.raises(
        ResumeError, match=r"another recipe: batch_size: 16 -> 8, seed: 0 -> 3. Resume without"
    ):
        tiny.fit(source, resume=True, recipe=tiny.recipe(batch_size=8, seed=3))
    assert stopped.load_state()["images_seen"] == 48


def test_other_data_is_refused(tiny, source, stopped, tmp_path):
    with pytest.raises(ResumeError, match=r"not those .* \(40 images then, 44 now\)"):
        tiny.fit(tiny.source(source, count=44), resume=True)


def test_another_family_is_refused(tiny, source, stopped):
    stopped.update(family="gan")
    with pytest.raises(ResumeError, match="a run of the family 'gan', not 'vae'"):
        tiny.fit(source, resume=True)


def test_without_a_run_there_is_nothing_to_resume(tiny, source):
    with pytest.raises(NotFoundError, match=r"no run of 'toy' to resume in .*without --resume"):
        tiny.fit(source, resume=True)


def test_a_run_that_is_being_trained_is_left_alone(tiny, source, stopped):
    with stopped.locked(), pytest.raises(UsageError, match="is being trained by another process"):
        tiny.fit(source, resume=True)


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip(data: bytes) -> bytes:
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("damage", [cut, flip, lambda data: b""], ids=["cut short", "one bit", "empty"])
def test_a_damaged_state_is_refused_by_name(tiny, source, stopped, damage):
    stopped.state_file.write_bytes(damage(stopped.state_file.read_bytes()))
    with pytest.raises(ResumeError, match=r"state\.pt is damaged.*Start a new run"):
        tiny.fit(source, resume=True)


def test_a_state_of_another_schema_is_refused(tiny, source, stopped, monkeypatch):
    monkeypatch.setattr("synth.training.runs._STATE_SCHEMA", 2)
    with pytest.raises(ResumeError, match="written by another version of synth"):
        tiny.fit(source, resume=True)


def test_a_state_of_another_network_is_refused(tiny, source, stopped):
    state = stopped.load_state()
    state["module"].popitem()
    stopped.save_state(state)
    with pytest.raises(ResumeError, match="does not fit the network"):
        tiny.fit(source, resume=True)


@pytest.mark.parametrize("content", ["", "[]", "{}", None])
def test_a_damaged_record_is_refused_for_resuming_and_no_hindrance_to_a_new_run(
    tiny, source, stopped, content, finished
):
    record = latest_run("toy").path / "run.json"
    record.unlink()
    if content is not None:
        record.write_text(content)
    with pytest.raises(ResumeError, match=r"run\.json .*start a new run"):
        tiny.fit(source, resume=True)
    assert same(tiny.fit(source), finished)


def test_a_run_that_is_started_anew_leaves_an_unfinished_one_alone_and_says_so(tiny, source, stopped, listen):
    tiny.fit(source, resume=False, reporter=(listener := listen()))
    assert any(f"An unfinished run of 'toy' is left in {stopped.path}" in note for note in listener.notes)
    assert latest_run("toy").number == 2
    assert stopped.load_state()["images_seen"] == 48
    tiny.fit(source, reporter=(listener := listen()))
    assert not any("unfinished" in note for note in listener.notes)
    assert latest_run("toy").number == 3


def test_the_same_again_goes_on_with_what_was_interrupted_and_says_so(
    tiny, source, stopped, listen, finished
):
    assert Store().versions("toy") == [1]
    assert latest_run("toy").path == stopped.path
    expected = tiny.fit(source, name="whole")
    assert same(finished, expected)
    tiny.fit(source, reporter=(listener := listen()))  # and once it is finished, a new one is started
    assert latest_run("toy").number == 2
    assert not any("Going on" in note for note in listener.notes)


def test_what_was_interrupted_is_gone_on_with_after_another_run_in_between(tiny, source, stopped, listen):
    other = tiny.recipe(seed=3, images_seen=32)
    tiny.fit(source, recipe=other, reporter=(listener := listen()))
    (note,) = (note for note in listener.notes if "unfinished" in note)
    assert note.startswith(f"An unfinished run of 'toy' is left in {stopped.path}")
    assert "It differs: images_seen: 96 -> 32, seed: 0 -> 3;" in note
    tiny.fit(source, reporter=(listener := listen()))
    assert f"Going on with the unfinished run in {stopped.path}" in " ".join(listener.notes)
    assert listener.seen == [64, 80, 96]


def test_other_data_start_a_new_run_and_the_difference_is_said(tiny, source, stopped, listen):
    tiny.fit(tiny.source(source, count=44), reporter=(listener := listen()))
    assert "It differs: images: 40 images then, 44 now;" in " ".join(listener.notes)
    assert latest_run("toy").number == 2
    assert stopped.load_state()["images_seen"] == 48


def test_a_finished_run_is_not_trained_again(tiny, source, finished, listen):
    again = tiny.fit(source, resume=True, reporter=(listener := listen()))
    assert again.path == finished.path
    assert listener.seen == []
    assert listener.notes[-1].endswith("is finished: it was published as toy@1.")


def test_a_finished_run_whose_artifact_is_gone_is_published_again(tiny, source, finished):
    expected = finished.weights()
    shutil.rmtree(finished.path.parent)
    again = tiny.fit(source, resume=True)
    assert all(torch.equal(weight, expected[name]) for name, weight in again.weights().items())


def test_a_finished_run_can_be_made_longer_and_a_stop_in_between_is_no_end(tiny, source, finished, listen):
    longer = tiny.recipe(images_seen=192)
    with pytest.raises(InterruptedRunError):
        tiny.fit(
            source,
            resume=True,
            recipe=longer,
            reporter=listen(144, lambda: os.kill(os.getpid(), signal.SIGINT)),
        )
    artifact = tiny.fit(source, resume=True, recipe=longer)
    assert artifact.manifest.reference == "toy@2"
    assert artifact.manifest.training.images_seen == 192


def test_a_full_disk_while_saving_leaves_the_state_before(tiny, source, listen, full_disk):
    def fill() -> None:
        full_disk(latest_run("toy").state_file)

    with pytest.raises(StorageError, match=r"Cannot save the training state in .*: the disk is full"):
        tiny.fit(source, reporter=listen(48, fill))
    run = latest_run("toy")
    assert run.load_state()["images_seen"] == 32
    assert sorted(path.name for path in run.path.glob("state*")) == ["state.pt"]
    assert tiny.fit(source, resume=True).manifest.training.images_seen == 96


def test_a_full_disk_while_logging_is_said_in_one_sentence(tiny, source, stopped, full_disk):
    full_disk(stopped.path / "metrics.csv")
    with pytest.raises(StorageError, match=r"Cannot write the log in .*: the disk is full"):
        tiny.fit(source, resume=True)
    assert tiny.fit(source, resume=True).manifest.reference == "toy@1"


def test_a_full_disk_while_publishing_shows_nothing_and_resume_publishes(tiny, source, monkeypatch):
    (Store().root / "toy").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr("synth.artifacts.store.publish_folder", fail_with_enospc)
        with pytest.raises(StorageError, match="Cannot publish toy"):
            tiny.fit(source)
    assert Store().list() == []
    assert tiny.fit(source, resume=True).manifest.reference == "toy@1"


def fail_with_enospc(*_: object) -> None:
    raise OSError(28, "No space left on device")
