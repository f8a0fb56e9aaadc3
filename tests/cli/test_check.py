"""synth check: what is planted is found, and what cannot be measured is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synth.artifacts import Store

Make = Callable[..., Path]


@pytest.fixture
def photos(tmp_path: Path) -> Make:
    """``photos(cat=10, dog=8)``: blobs in class folders, of a colour of their own for each class with
    ``tint``."""

    def make(
        root: str = "photos", *, side: int = 16, light: int = 0, grey: bool = False, **counts: int
    ) -> Path:
        for name, count in counts.items():
            folder = tmp_path / root / name.removeprefix("flat")
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                random = np.random.default_rng([number, *map(ord, name), *map(ord, root)])
                blobs = Image.fromarray(random.integers(0, 150, (5, 5, 3), dtype=np.uint8))
                pixels = np.asarray(blobs.resize((side, side), Image.Resampling.BICUBIC)).astype(int) + light
                picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
                picture.convert("L" if grey else "RGB").save(folder / f"{number:03d}.png")
        return tmp_path / root

    return make


@pytest.fixture
def check(run):
    """``check(source, ...)``: exit code and the report as JSON."""

    def call(*words: object) -> tuple[int, dict]:
        outcome = run("check", *map(str, words), "--json", "--device", "cpu")
        assert outcome.out, outcome.err
        return outcome.code, json.loads(outcome.out)

    return call


def subjects(report: dict) -> set[str]:
    return {finding["subject"] for finding in report["findings"]}


def finding(report: dict, subject: str) -> dict:
    return next(one for one in report["findings"] if one["subject"] == subject)


def test_a_clean_source_has_no_findings(check, photos):
    code, report = check(photos(cat=30, dog=30), "--no-labels", "--fail-on", "any")
    assert (code, report["findings"], report["count"]) == (0, [], 60)


def test_unreadable_files_and_copies_are_named_with_what_to_do(check, photos):
    source = photos(cat=30, dog=30, side=40)
    (source / "cat" / "broken.png").write_bytes(b"no picture")
    whole = (source / "dog" / "001.png").read_bytes()
    (source / "dog" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (source / "dog" / "same.png").write_bytes(whole)
    (source / "cat" / "wrong.png").write_bytes((source / "dog" / "002.png").read_bytes())
    with Image.open(source / "cat" / "003.png") as picture:
        picture.save(source / "cat" / "lossy.jpg", quality=80)
    code, report = check(source, "--no-labels")
    assert code == 0
    assert {one["file"] for one in report["unreadable"]} == {"cat/broken.png", "dog/cut.png"}
    assert finding(report, "unreadable")["count"] == 2
    assert report["duplicates"]["exact_surplus"] == 2
    assert report["duplicates"]["near_samples"] == 2
    assert set(report["duplicates"]["near"][0]["samples"]) == {"cat/003.png", "cat/lossy.jpg"}
    assert "cat/wrong.png (cat), dog/002.png (dog)" in finding(report, "labels")["message"]
    assert all(one["remedy"] for one in report["findings"])
    for names, expected in {"unreadable": 1, "duplicates,leaks": 1, "leaks": 0, "any": 1}.items():
        assert check(source, "--no-labels", "--fail-on", names)[0] == expected


def test_leaks_between_two_sources_and_between_parts_are_found(check, run, photos, tmp_path):
    train, holdout = photos("train", cat=20, dog=20, side=40), photos("holdout", cat=10, dog=10, side=40)
    assert "leaks" not in subjects(check(holdout, "--against", train, "--no-labels")[1])
    (holdout / "cat" / "copy.png").write_bytes((train / "cat" / "001.png").read_bytes())
    with Image.open(train / "dog" / "002.png") as picture:
        picture.save(holdout / "dog" / "lossy.jpg", quality=80)
    code, report = check(holdout, "--against", train, "--no-labels", "--fail-on", "leaks")
    assert code == 1
    overlap = report["leaks"]["overlaps"][0]
    assert (overlap["exact"], overlap["near"]) == (1, 1)
    assert overlap["pairs"][0] == {"sample": "cat/copy.png", "other": "cat/001.png", "exact": True}

    run("split", str(train), "--out", str(tmp_path / "out"))
    words = (train, "--split", tmp_path / "out" / "split.json", "--no-labels")
    assert "leaks" not in subjects(check(*words)[1])
    lines = (tmp_path / "out" / "split.jsonl").read_text().splitlines()
    moved = next(record for record in map(json.loads, lines) if record["part"] == "train")
    with Image.open(train / moved["origin"]) as picture:
        picture.save(train / "dog" / "late.jpg", quality=85)
    run("split", str(train), "--out", str(tmp_path / "bad"), "--near-duplicates", "0")
    records = [json.loads(line) for line in (tmp_path / "bad" / "split.jsonl").read_text().splitlines()]
    for record in records:
        record["part"] = "holdout" if record["origin"] == "dog/late.jpg" else "train"
    (tmp_path / "bad" / "split.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    code, report = check(train, "--split", tmp_path / "bad", "--no-labels", "--fail-on", "leaks")
    assert code == 1
    assert moved["origin"] in finding(report, "leaks")["samples"] + [
        pair["other"] for pair in report["leaks"]["overlaps"][0]["pairs"]
    ]


def test_flipped_labels_are_doubted_first(check, tmp_path):
    path = tmp_path / "toys.npz"
    labels = np.arange(150) % 2
    images = np.random.default_rng(0).integers(0, 60, (150, 8, 8), dtype=np.uint8)
    images[labels == 0, :4] += 150
    images[labels == 1, 4:] += 150
    arrays = {"images": images, "labels": labels}
    flipped = [10, 55, 90, 121, 140]
    arrays["labels"][flipped] = 1 - arrays["labels"][flipped]
    np.savez(path, **arrays)
    report = check(path)[1]
    first = [one["sample"] for one in report["labels"]["issues"][:5]]
    assert {f"toys.npz[{row}]" for row in flipped} == set(first)
    assert report["labels"]["accuracy"] > 0.9


def test_outliers_imbalance_and_a_darker_class_are_found(check, photos):
    source = photos(cat=60, dog=15)
    photos(light=90, bird=40)
    Image.fromarray(np.tile(np.uint8([[0, 255] * 8]), (16, 1))).save(source / "cat" / "odd.png")
    report = check(source, "--no-labels")[1]
    assert "cat/odd.png" in finding(report, "outliers")["samples"]
    assert "cat has 61 images and dog 15" in finding(report, "imbalance")["message"]
    assert "Images of bird are brighter" in json.dumps(report["findings"])


def test_what_synthetic_images_change_is_told(check, photos):
    real = photos(cat=30, dog=30)
    same = check(real, "--synthetic", real, "--no-labels")[1]
    assert "changes" not in subjects(same)
    lighter = photos("lighter", light=80, grey=True, cat=30, bird=30)
    report = check(real, "--synthetic", lighter, "--no-labels")[1]
    text = json.dumps(report["findings"])
    assert "Synthetic images are brighter than real ones" in text
    assert "The synthetic images are grey, and the real ones in colour" in text
    assert report["changes"]["unknown_classes"] == ["bird"]
    assert report["changes"]["missing_classes"] == ["dog"]


def test_a_model_is_compared_and_its_training_images_are_refused(check, run, tiny, tmp_path):
    source = tiny.source(tmp_path / "toys.npz", count=60)
    artifact = tiny.fit(source)
    report = check(source, "--model", "toy", "--no-labels")[1]
    assert report["changes"]["synthetic"] == artifact.manifest.reference
    assert check(source, "--synthetic", "toy", "--no-labels")[1]["changes"]["count"] == 100
    outcome = run("check", str(source), "--model", "toy", "--against", str(source))
    assert (outcome.code, "toy@1 was trained on" in outcome.err) == (2, True)
    assert Store().versions("toy") == [1]


@pytest.mark.parametrize("count", [1, 2, 15, 50])
def test_few_images_say_what_is_needed(check, photos, count):
    report = check(photos(flat=count))[1]
    assert report["count"] == count
    assert "needs labels" in report["labels"]["reason"]
    assert report["leaks"]["kind"] == "not-measured"
    assert (report["outliers"].get("kind") == "not-measured") == (count < 20)


def test_a_hundred_equal_images_are_one_picture(check, tmp_path):
    np.savez(tmp_path / "e.npz", images=np.full((100, 8, 8), 7, np.uint8), labels=np.arange(100) % 2)
    report = check(tmp_path / "e.npz", "--synthetic", tmp_path / "e.npz")[1]
    assert (report["distinct"], report["duplicates"]["exact_surplus"]) == (1, 99)
    assert subjects(report) >= {"duplicates", "labels"}


def test_unlike_sizes_channels_and_depths_are_taken(check, photos):
    source = photos(cat=20, dog=20)
    photos(side=33, grey=True, bird=20)
    deep = (np.arange(400, dtype=np.uint32).reshape(20, 20) * 150).astype(np.uint16)
    Image.fromarray(deep).save(source / "cat" / "deep.png")
    with Image.open(source / "dog" / "001.png") as picture:
        picture.quantize(16).save(source / "dog" / "palette.png")
    report = check(source, "--no-labels")[1]
    assert report["count"] == 62
    assert report["appearance"]["sizes"] == 3
    assert any("16 bits" in note for note in report["notes"])


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("nowhere", 2, "There is no folder or file 'nowhere'"),
        ("{empty}", 1, "There are no images"),
        ("digits --fail-on leak", 2, "did you mean 'leaks'?"),
        ("digits --split none --against digits", 2, "not both"),
        ("digits --split none", 2, "There is no split at none"),
        ("digits --synthetic nothing", 2, "Nor is it a model"),
        ("digits --size big", 2, "is no size"),
        ("digits --near-duplicates 9", 2, "from 0 to 0.5"),
    ],
)
def test_a_wrong_request_is_refused_with_one_message(run, tmp_path, words, code, message):
    (tmp_path / "empty").mkdir()
    outcome = run("check", *words.format(empty=tmp_path / "empty").split())
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err


def test_the_text_has_every_check_and_out_keeps_the_report(run, photos, tmp_path):
    source, out = photos(cat=30, dog=30), tmp_path / "out"
    outcome = run("check", str(source), "--no-labels", "--out", str(out))
    assert outcome.code == 0
    for name in ("unreadable", "near-duplicates", "leaks", "outliers", "labels", "shortcuts", "changes"):
        assert f"\n{name} " in outcome.out
    assert "Nothing was found." in outcome.out
    assert json.loads((out / "check.json").read_text())["kind"] == "synth-check"
    again = run("check", str(source), "--no-labels", "--out", str(out))
    assert (again.code, "--overwrite" in again.err) == (2, True)


def test_labels_are_judged_by_a_classifier_of_the_store(check, run, tiny, tmp_path):
    random, labels = np.random.default_rng(0), np.arange(80) % 2
    for name in ("known", "other"):
        images = random.integers(0, 90, (80, 8, 8), dtype=np.uint8) + 160 * labels[:, None, None]
        given = labels.copy()
        given[:4] ^= name == "other"
        np.savez(tmp_path / f"{name}.npz", images=images.astype(np.uint8), labels=given)
    known, other = tmp_path / "known.npz", tmp_path / "other.npz"
    tiny.fit(known, name="judge", family="classifier", recipe=tiny.recipe("classifier", images_seen=16 * 30))
    code, report = check(other, "--classifier", "judge")
    assert code == 0
    assert {issue["sample"] for issue in report["labels"]["issues"]} == {
        f"other.npz[{row}]" for row in range(4)
    }
    assert report["labels"]["how"] == "confident learning with judge@1"
    assert report["labels"]["examined"] == 80

    outcome = run("check", str(known), "--classifier", "judge", "--device", "cpu")
    assert outcome.code == 2
    assert "judge@1 was trained on" in outcome.err
    strange = tiny.source(tmp_path / "three.npz", classes=3, seed=3)
    outcome = run("check", str(strange), "--classifier", "judge", "--device", "cpu")
    assert "has classes that judge@1 does not know: kind0" in outcome.err
    outcome = run("check", str(other), "--classifier", "judge", "--no-labels")
    assert "--classifier judges labels" in outcome.err
