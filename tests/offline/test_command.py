"""synth generate."""

import json
import os
import signal
import tarfile

import pytest

from synth.artifacts import Store
from synth.cli import main
from synth.sampling import Sampler


@pytest.fixture
def run(fake, capsys, monkeypatch):
    """``run(...)``: exit code, stdout and stderr of ``synth generate pets ...``."""

    def open_sampler(reference, **options):
        call.opened = (reference, options)
        return call.generator

    def call(*words):
        code = main(["generate", "pets", *map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    call.generator = fake.FakeGenerator()
    monkeypatch.setattr(Sampler, "open", open_sampler)
    return call


def test_the_output_is_the_folder_and_the_rest_goes_to_stderr(run, tmp_path):
    code, out, err = run("--count", 4, "--out", tmp_path / "out")
    assert (code, out) == (0, f"{tmp_path / 'out'}\n")
    assert err.startswith("Generated 4 images in ")
    assert run.opened == ("pets", {"store": None, "device": "auto", "precision": "auto"})


def test_options_reach_the_plan_and_the_manifest_comes_as_json(run, tmp_path):
    request = "--count 4 --format npz --labels cat=1,dog=3 --seed 9 --start 50 --shard-size 3 --mode exact"
    place = "--set temperature=0.7 --device cpu --precision 32 --json"
    folders = ["--store", tmp_path / "store", "--out", tmp_path / "out"]
    code, out, _ = run(*request.split(), *place.split(), *folders)
    assert code == 0
    assert json.loads(out)["plan"] == {
        "model": "pets@2",
        "digest": "cd" * 32,
        "count": 4,
        "labels": "cat=1,dog=3",
        "seed": 9,
        "start": 50,
        "mode": "exact",
        "parameters": {"temperature": 0.7},
        "format": "npz",
        "shard_size": 3,
    }
    store = run.opened[1]["store"]
    assert isinstance(store, Store)
    assert store.root == tmp_path / "store"


def test_labels_are_balanced_unless_the_model_has_no_classes(run, fake, tmp_path):
    _, out, _ = run("--count", 4, "--out", tmp_path / "a", "--json")
    assert json.loads(out)["class_counts"] == [2, 2]
    run.generator = fake.FakeGenerator(classes=None)
    code, out, _ = run("--count", 4, "--out", tmp_path / "b", "--json")
    assert (code, json.loads(out)["classes"]) == (0, None)


def test_ctrl_c_exits_with_130_and_resume_goes_on(run, tmp_path, monkeypatch):
    words = ["--count", 10, "--shard-size", 2, "--out", tmp_path / "out"]
    generate = run.generator.generate

    def interrupted(count, *, start, **request):
        if start == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return generate(count, start=start, **request)

    with monkeypatch.context() as patch:
        patch.setattr(run.generator, "generate", interrupted)
        code, out, err = run(*words)
    assert (code, out) == (130, "")
    assert "4 of 10 images are kept" in err
    assert "--resume" in err
    code, out, err = run(*words)
    assert code == 2
    assert "unfinished data set (2 finished shards)" in err
    code, _, err = run(*words, "--resume")
    assert code == 0
    assert err.startswith("Resuming: 4 of 10 images are there already.\nGenerated 6 images")
    code, _, err = run(*words, "--resume")
    assert code == 0
    assert "nothing was generated" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resume", "--overwrite"], "not both"),
        (["--set", "temperature"], "NAME=VALUE"),
        (["--set", "=1"], "has no name"),
        (["--set", "t=1", "--set", "t=2"], "a second time"),
        (["--format", "parquett"], "no output format"),
        (["--labels", "bird"], "no class 'bird'"),
        (["--count", "0"], "count must be at least 1"),
        (["--mode", "quick"], "fast or exact"),
    ],
)
def test_a_bad_request_exits_with_2_and_writes_nothing(run, tmp_path, words, message):
    code, out, err = run("--count", 4, "--out", tmp_path / "out", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "suffix"), [("jpeg", "jpg"), ("webp", "webp")])
@pytest.mark.parametrize("layout", ["imagefolder", "webdataset"])
def test_images_come_in_the_encoding_that_is_asked_for(run, tmp_path, name, suffix, layout):
    words = ["--count", 4, "--out", tmp_path, "--format", layout, "--image-format", name, "--quality", 80]
    code, out, _ = run(*words, "--json")
    assert code == 0
    plan = json.loads(out)["plan"]
    assert (plan["image_format"], plan["quality"]) == (name, 80)
    if layout == "imagefolder":
        assert len(list(tmp_path.glob(f"*/*.{suffix}"))) == 4
    else:
        with tarfile.open(tmp_path / "000000.tar") as tar:
            assert sum(member.endswith(f".{suffix}") for member in tar.getnames()) == 4
    code, _, err = run(*words[:-1], 70, "--resume")
    assert code == 2
    assert "quality is 80 on disk, 70 now" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--image-format", "gif"], "Images cannot be written as 'gif'"),
        (["--image-format", "jpg"], "did you mean 'jpeg'"),
        (["--image-format", "jpeg", "--quality", "0"], "quality must be from 1 to 100"),
        (["--image-format", "webp", "--format", "npz"], "go with imagefolder or webdataset"),
    ],
)
def test_an_encoding_that_cannot_be_is_refused(run, tmp_path, words, message):
    code, _, err = run("--count", 4, "--out", tmp_path / "out", *words)
    assert code == 2
    assert message in err
    assert not (tmp_path / "out").exists()
