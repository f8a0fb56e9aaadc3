import json
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from synth.data.writers import Writer, read_manifest
from synth.errors import (
    DeviceError,
    InterruptedRunError,
    LabelError,
    StorageError,
    SynthError,
    UsageError,
)
from synth.offline import generate_dataset, make_plan


def contents(folder):
    """All files by name; the manifest without its time, which alone may differ between equal data sets."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found["manifest.json"] = {**json.loads(found["manifest.json"]), "created": None}
    return found


def run(fake, *arguments):
    return subprocess.run(
        [sys.executable, fake.__file__, *map(str, arguments)], capture_output=True, text=True
    )


def test_a_killed_run_resumed_equals_an_uninterrupted_one(fake, tmp_path):
    killed = run(fake, tmp_path / "killed", "imagefolder", 2, "SIGKILL")
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "killed").iterdir()] == [".synth-partial"]
    calls = []
    fake.make(tmp_path / "killed", "imagefolder", resume=True, progress=lambda *call: calls.append(call))
    assert calls == [(10, 23), (15, 23), (20, 23), (23, 23)]
    fake.make(tmp_path / "whole", "imagefolder")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_ctrl_c_keeps_the_finished_shards_and_says_how_to_go_on(fake, tmp_path):
    def interrupt(done, total):
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match=r"10 of 23 images are kept in .*--resume") as caught:
        fake.make(tmp_path / "out", "npz", progress=interrupt)
    assert caught.value.exit_code == 130
    assert fake.make(tmp_path / "out", "npz", resume=True).count == 23


def test_ctrl_c_before_the_first_shard_leaves_nothing(fake, tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match="nothing was kept"):
        fake.make(tmp_path / "out", "npz", progress=interrupt)
    assert not (tmp_path / "out").exists()


def test_resuming_a_finished_data_set_reports_it_and_generates_nothing(fake, tmp_path):
    first = fake.make(tmp_path, "npz")
    calls = []
    assert fake.make(tmp_path, "npz", resume=True, progress=lambda *call: calls.append(call)) == first
    assert calls == [(23, 23)]


def test_samples_do_not_depend_on_the_shard_size(fake, tmp_path):
    images = []
    for size in (3, 10):
        plan = make_plan(fake.FakeCard(("cat", "dog")), 10, labels="any", format="npz", shard_size=size)
        generate_dataset(fake.FakeGenerator(), plan, tmp_path / str(size))
        with np.load(tmp_path / str(size) / "data.npz") as data:
            images.append((data["images"].tolist(), data["labels"].tolist()))
    assert images[0] == images[1]


def test_counted_labels_are_counted_over_all_shards(fake, tmp_path):
    manifest = fake.make(tmp_path, "imagefolder")
    assert manifest.class_counts == [11, 12]
    assert len(list((tmp_path / "cat").iterdir())) == 11
    assert manifest.plan == {
        "model": "pets@2",
        "digest": "cd" * 32,
        "count": 23,
        "labels": "cat=11,dog=12",
        "seed": 5,
        "start": 0,
        "mode": "fast",
        "parameters": {},
        "format": "imagefolder",
        "shard_size": 5,
    }


def test_labels_of_the_training_data_are_left_to_the_generator(fake, tmp_path):
    generator = fake.FakeGenerator()
    plan = make_plan(generator.card, 200, format="npz", shard_size=50)
    cats, dogs = generate_dataset(generator, plan, tmp_path).class_counts
    assert generator.asked == ["any"] * 4
    assert cats > 5 * dogs


def test_a_generator_without_classes_makes_unlabelled_images(fake, tmp_path):
    generator = fake.FakeGenerator(classes=None)
    generate_dataset(generator, make_plan(generator.card, 3), tmp_path)
    manifest = read_manifest(tmp_path)
    assert (manifest.classes, manifest.class_counts) == (None, None)


def test_a_bad_request_leaves_the_output_untouched(fake, tmp_path):
    generator = fake.FakeGenerator()
    with pytest.raises(LabelError, match="add up to 4"):
        generate_dataset(generator, make_plan(generator.card, 3, labels="cat=4"), tmp_path / "out")
    other = fake.FakeCard(("cat", "dog"), digest="ef" * 32)
    with pytest.raises(UsageError, match="make a new plan"):
        generate_dataset(generator, make_plan(other, 3), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_generator_that_gives_too_few_samples_is_not_believed(fake, tmp_path):
    class Short(fake.FakeGenerator):
        def generate(self, count, **request):
            return super().generate(count - 1, **{**request, "labels": "any"})

    with pytest.raises(SynthError, match="other samples"):
        generate_dataset(Short(), make_plan(fake.FakeCard(("cat", "dog")), 3), tmp_path)


def test_the_next_shard_is_made_while_one_is_written(fake, tmp_path, monkeypatch):
    """Each write waits for the shard after it: one that is made only later would never come."""
    made = [threading.Event() for _ in range(5)]

    class Watched(fake.FakeGenerator):
        def generate(self, count, *, start=0, **request):
            made[start // 5].set()
            return super().generate(count, start=start, **request)

    write = Writer.write

    def patient(self, batch, shard):
        assert made[min(shard + 1, 4)].wait(timeout=30)
        write(self, batch, shard)

    monkeypatch.setattr(Writer, "write", patient)
    generator = Watched()
    plan = make_plan(generator.card, 25, format="npz", shard_size=5)
    assert generate_dataset(generator, plan, tmp_path).count == 25


def test_what_fails_in_writing_is_told_and_the_shards_before_it_are_kept(fake, tmp_path, monkeypatch):
    write = Writer.write

    def full(self, batch, shard):
        if shard == 2:
            raise StorageError("The disk is full.")
        write(self, batch, shard)

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "write", full)
        with pytest.raises(StorageError, match="disk is full"):
            fake.make(tmp_path / "out", "webdataset")
    calls = []
    fake.make(tmp_path / "out", "webdataset", resume=True, progress=lambda *call: calls.append(call))
    assert calls[0] == (10, 23)


def test_a_shard_that_is_being_written_when_the_next_one_fails_is_kept(fake, tmp_path):
    class Failing(fake.FakeGenerator):
        def generate(self, count, *, start=0, **request):
            if start >= 10:
                raise DeviceError("The device failed.")
            return super().generate(count, start=start, **request)

    generator = Failing()
    plan = make_plan(generator.card, 25, format="npz", shard_size=5)
    with pytest.raises(DeviceError):
        generate_dataset(generator, plan, tmp_path / "out")
    calls = []
    generate_dataset(
        fake.FakeGenerator(), plan, tmp_path / "out", resume=True, progress=lambda *call: calls.append(call)
    )
    assert calls[0] == (10, 25)
