"""synth train."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synth.artifacts import Store
from synth.cli import main
from synth.training.runs import latest_run
from synth.training.vae import VAEModule


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., Path]:
    """``photos(cat=10, dog=8)``: a folder with so many small pictures in class folders; ``""`` is flat."""

    def make(root: str = "photos", *, mode: str = "L", size: tuple[int, int] = (8, 8), **counts: int) -> Path:
        random = np.random.default_rng(len(root))
        for name, count in counts.items():
            folder = tmp_path / root / name.removeprefix("flat")
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = random.integers(0, 256, (size[0], size[1], 4), dtype=np.uint8)
                picture = Image.fromarray(pixels, "RGBA").convert(mode)
                picture.save(folder / f"{mode}{size[0]}-{number:03d}.png")
        return tmp_path / root

    return make


@pytest.fixture
def train(run, tiny):
    """``train("--data", ...)``: ``synth train vae --name toy`` with the smallest network."""
    return lambda *words: run(
        "train", "vae", "--name", "toy", "--device", "cpu", *tiny.flags(), *map(str, words)
    )


def test_the_reference_goes_to_stdout_and_the_rest_to_stderr(train, photos):
    outcome = train("--data", photos(cat=10, dog=10))
    assert (outcome.code, outcome.out) == (0, "toy@1\n")
    assert "Published toy@1: 96 images seen" in outcome.err
    assert Store().open("toy").card.classes == ("cat", "dog")


def test_as_json_the_card_comes_and_the_options_reach_the_recipe(run, photos, tmp_path):
    words = (
        "--data {} --size 9x13 --images-seen 8 --batch-size 4 --seed 7 --precision 32 --preset small "
        "--set widths=[8] --set latent=2 --set components=1 --store {} --json --device cpu"
    ).format(photos(cat=10, dog=10), tmp_path / "elsewhere")
    outcome = run("train", "vae", "--name", "toy", *words.split())
    card = json.loads(outcome.out)
    assert card["reference"] == "toy@1"
    assert (card["image"]["height"], card["image"]["width"]) == (9, 13)
    recipe = Store(tmp_path / "elsewhere").open("toy").manifest.recipe
    expected = {
        "size": [9, 13],
        "images_seen": 8,
        "batch_size": 4,
        "seed": 7,
        "preset": "small",
        "widths": [8],
    }
    assert expected.items() <= recipe.items()


def test_a_stopped_run_goes_on_with_nothing_but_its_name(train, run, photos, tmp_path, monkeypatch):
    source = photos(cat=10, dog=10)
    (source / "cat" / "broken.png").write_bytes(b"no picture")
    monkeypatch.chdir(source.parent)
    measure = VAEModule.measure

    def interrupted(self, images, kind):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(VAEModule, "measure", interrupted)
    outcome = train("--data", source.name, "--skip-unreadable", "--store", tmp_path / "elsewhere")
    assert outcome.code == 130
    assert outcome.err.endswith("Go on with: synth train vae --name toy --resume\n")
    monkeypatch.setattr(VAEModule, "measure", measure)
    monkeypatch.chdir("/")
    resumed = run("train", "vae", "--name", "toy", "--resume")
    assert (resumed.code, resumed.out) == (0, "toy@1\n")
    assert "after 96 images" in resumed.err
    assert Store(tmp_path / "elsewhere").versions("toy") == [1]
    again = run("train", "vae", "--name", "toy", "--resume")
    assert (again.code, again.out) == (0, "toy@1\n")
    assert "is finished: it was published as toy@1." in again.err
    longer = run("train", "vae", "--name", "toy", "--resume", "--images-seen", "128")
    assert (longer.code, longer.out) == (0, "toy@2\n")
    other = run("train", "vae", "--name", "toy", "--resume", "--batch-size", "8")
    assert other.code == 2
    assert "batch_size: 16 -> 8" in other.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train vea --name toy --data digits", "There is no family 'vea' (did you mean 'vae'?)"),
        ("train vae --name A/B --data digits", "A model cannot be called 'A/B'"),
        ("train vae --name toy", "Say what to train on: --data SOURCE"),
        ("train vae --data digits", "Missing option '--name'"),
        ("train vae --name toy --data digits --from nobody", "nobody"),
        ("train vae --name toy --data nowhere", "There is no folder or file 'nowhere'"),
        ("train vae --name toy --data digit", "(did you mean 'digits'?)"),
        ("train vae --name toy --data digits --resume --fresh", "choose one"),
        ("train vae --name toy --resume", "There is no run of 'toy' to resume"),
        ("train vae --name toy --data digits --set batchsize=1", "(did you mean 'batch_size'?)"),
        ("train vae --name toy --data digits --batch-size 0", "batch_size = 0: Input should be greater"),
        ("train vae --name toy --data digits --minutes 1 --images-seen 9", "either minutes or images_seen"),
        ("train vae --name toy --data digits --size big", "size = 'big': a size is a number of pixels"),
        ("train vae --name toy --data digits --config none.yaml", "Cannot read the configuration none.yaml"),
        ("train vae --name toy --data digits --device tpu", "There is no device 'tpu'"),
        (
            "train vae --name toy --data digits --device cpu --precision 16",
            "Precision 16 needs a CUDA device",
        ),
        ("train vae --name toy --data digits --preset base", "4 widths halve each side as many times"),
    ],
)
def test_a_wrong_request_is_refused_with_one_message_and_exit_code_2(run, synth_home, words, message):
    outcome = run(*words.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert outcome.err.count("error: ") == 1
    assert not synth_home.exists()


def test_an_unusable_source_exits_1_and_says_why(train, photos, tmp_path, synth_home):
    (tmp_path / "empty").mkdir()
    sources = {
        tmp_path / "empty": "no images",
        photos("few", cat=8, dog=7): "holds 15 images, and training needs at least 16",
        photos("mixed", flat=16) and photos("mixed", flat=1, size=(8, 9)): "Choose one size with --size",
    }
    for source, message in sources.items():
        outcome = train("--data", source)
        assert (outcome.code, outcome.out) == (1, ""), outcome.err
        assert message in outcome.err
    assert not synth_home.exists()


def test_corrupt_files_are_named_and_left_out_when_told_so(train, photos):
    source = photos(cat=10, dog=10)
    (source / "cat" / "zero.png").touch()
    whole = (source / "cat" / "L8-000.png").read_bytes()
    (source / "dog" / "cut.png").write_bytes(whole[: len(whole) // 2])
    outcome = train("--data", source)
    assert outcome.code == 1
    assert "zero.png" in outcome.err
    assert "cut.png" in outcome.err
    assert "--skip-unreadable" in outcome.err
    outcome = train("--data", source, "--skip-unreadable")
    assert outcome.code == 0
    assert "zero.png" in outcome.err


@pytest.mark.parametrize("counts", [{"cat": 20}, {"flat": 20}], ids=["one class", "flat"])
def test_a_source_without_classes_is_trained_unlabelled_and_one_class_is_noted(train, photos, counts):
    outcome = train("--data", photos(**counts))
    assert outcome.code == 0
    assert Store().open("toy").card.classes is None
    assert ("only one class folder (cat): treated as unlabelled" in outcome.err) == ("cat" in counts)


def test_labels_are_required_or_ignored_by_a_flag(train, photos):
    outcome = train("--data", photos(cat=20), "--labels")
    assert outcome.code == 2
    assert "has none to learn (only one class folder (cat)" in outcome.err
    assert train("--data", photos("two", cat=10, dog=10), "--no-labels").code == 0
    assert Store().open("toy").card.classes is None


def test_mixed_sizes_and_modes_train_once_a_size_is_chosen(train, photos):
    source = photos(flat=8)
    photos(flat=8, mode="RGB", size=(12, 10))
    photos(flat=8, mode="RGBA", size=(6, 9))
    outcome = train("--data", source, "--size", "8")
    assert outcome.code == 0
    assert "16 of 24 images resized to 8 x 8" in outcome.err
    assert "8 of 24 images in grey, repeated to 3 channels" in outcome.err
    assert Store().open("toy").card.image.channels == 3


def test_brackets_in_a_path_are_printed_as_they_are(train, photos):
    source = photos("[bold]photos", cat=20)
    (source / "cat" / "[red].png").touch()
    assert "[red].png" in train("--data", source, "--skip-unreadable").err


def test_divergence_exits_1_and_resume_with_the_remedy_goes_on(train, run, photos, monkeypatch):
    loss = VAEModule.loss
    monkeypatch.setattr(VAEModule, "loss", lambda *args: (loss(*args)[0] * float("nan"), {}))
    outcome = train("--data", photos(cat=20))
    assert outcome.code == 1
    assert "Training diverged: the loss became NaN" in outcome.err
    monkeypatch.setattr(VAEModule, "loss", loss)
    resumed = run("train", "vae", "--name", "toy", "--resume", "--set", "learning_rate=0.0005")
    assert (resumed.code, resumed.out) == (0, "toy@1\n")
    assert latest_run("toy").record()["recipe"]["learning_rate"] == 0.0005


def test_progress_is_lines_when_there_is_no_terminal(train, photos, monkeypatch):
    monkeypatch.setattr("synth.cli.train._SECONDS_BETWEEN_LINES", 0.0)
    lines = [line for line in train("--data", photos(cat=20)).err.splitlines() if "images  loss" in line]
    assert lines[-1].startswith("100%")
    assert "96 images  loss" in lines[-1]


def test_progress_is_a_bar_on_a_terminal(photos, tiny, monkeypatch, capsys):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    words = ["--name", "toy", "--device", "cpu", *tiny.flags(), "--data", str(photos(cat=20))]
    assert main(["train", "vae", *words]) == 0
    captured = capsys.readouterr()
    assert "\x1b[" in captured.err
    assert "100%" in captured.err
    assert captured.out == "toy@1\n"
