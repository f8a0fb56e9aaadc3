"""synth split, and the parts as sources."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synth.data import load_images, open_source
from synth.data.splits import read_split
from synth.errors import NotFoundError, SourceError

Make = Callable[..., Path]


@pytest.fixture
def photos(tmp_path: Path) -> Make:
    """``photos(cat=10, dog=8)``: so many pictures of noise in class folders; more of them by another call."""

    def make(root: str = "photos", *, start: int = 0, size: int = 12, **counts: int) -> Path:
        for name, count in counts.items():
            folder = tmp_path / root / name
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(start, start + count):
                random = np.random.default_rng([number, len(name), ord(name[0])])
                pixels = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"p{number // 4}_{number}.png")
        return tmp_path / root

    return make


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", ["auto", "links", "imagefolder", "npz", "manifest"])
def test_each_sample_is_in_one_part_that_opens_by_folder_and_by_split(run, photos, tmp_path, form):
    source, out = photos(cat=60, dog=40), tmp_path / "out"
    before = tree(source)
    outcome = run("split", str(source), "--out", str(out), "--format", form)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0].split() == ["part", "samples", "share", "cat", "dog"]
    assert tree(source) == before
    whole = load_images(open_source(source))
    ids = []
    for part in ("train", "val", "holdout"):
        images = load_images(open_source(str(out / part)))
        again = load_images(open_source(f"{out / 'split.json'}:{part}"))
        assert images.ids == again.ids
        assert images.classes == ("cat", "dog")
        assert set(images.labels.tolist()) == {0, 1}
        by_id = dict(zip(whole.ids, whole.labels.tolist(), strict=True))
        assert images.labels.tolist() == [by_id[name] for name in images.ids]
        ids += images.ids
    assert sorted(ids) == sorted(whole.ids)


def test_other_programs_see_links_as_class_folders(run, photos, tmp_path):
    run("split", str(photos(cat=30, dog=30)), "--out", str(tmp_path / "out"))
    link = next((tmp_path / "out" / "train" / "cat").iterdir())
    assert link.is_symlink()
    with Image.open(link) as picture:
        assert picture.size == (12, 12)


def test_each_sample_is_in_one_fold_and_not_fold_is_the_rest(run, photos, tmp_path):
    source, out = photos(cat=40, dog=40), tmp_path / "out"
    words = ("split", str(source), "--out", str(out), "--folds", "4", "--json")
    manifest = json.loads(run(*words).out)
    assert [fold["name"] for fold in manifest["folds"]] == ["fold-1", "fold-2", "fold-3", "fold-4"]
    assert sum(fold["count"] for fold in manifest["folds"]) == 80
    everything = set(open_source(source).ids)
    for number in range(1, 5):
        fold = set(open_source(out / f"fold-{number}").ids)
        rest = set(open_source(str(out / f"not-fold-{number}")).ids)
        assert fold
        assert not fold & rest
        assert fold | rest == everything


def test_folds_divide_the_first_part_and_leave_the_holdout_alone(run, photos, tmp_path):
    out = tmp_path / "out"
    words = ["--fractions", "train=0.7,holdout=0.3", "--folds", "3", "--format", "npz"]
    assert run("split", str(photos(cat=40, dog=40)), "--out", str(out), *words).code == 0
    train, holdout = (set(open_source(str(out / part)).ids) for part in ("train", "holdout"))
    folds = [set(open_source(str(out / f"fold-{number}")).ids) for number in (1, 2, 3)]
    assert set.union(*folds) == train
    assert not train & holdout
    assert set(open_source(str(out / "not-fold-2")).ids) == folds[0] | folds[2]


def test_as_data_grow_no_training_sample_is_held_out_and_folds_stay(run, photos, tmp_path):
    source = photos(cat=40, dog=40)
    for name, words in {"parts": [], "folds": ["--folds", "3"]}.items():
        assert run("split", str(source), "--out", str(tmp_path / name), *words).code == 0
    before = {name: read_split(tmp_path / name)[1] for name in ("parts", "folds")}
    photos(start=40, cat=30, dog=10)
    for name, words in {"parts": [], "folds": ["--folds", "3"]}.items():
        outcome = run("split", str(source), "--out", str(tmp_path / name), *words, "--resume")
        assert outcome.code == 0, outcome.err
        assert "40 samples are new since the former split" in outcome.err
    after = {name: {one.id: one for one in read_split(tmp_path / name)[1]} for name in before}
    assert all(after["parts"][one.id].part == "train" for one in before["parts"] if one.part == "train")
    assert all(after["folds"][one.id].fold == one.fold for one in before["folds"])


def test_groups_and_near_duplicates_stay_together(run, photos, tmp_path):
    source, out = photos(cat=40, dog=40, size=48), tmp_path / "out"
    for number in range(0, 40, 3):
        with Image.open(source / "cat" / f"p{number // 4}_{number}.png") as picture:
            picture.save(source / "cat" / f"copy_{number}.jpg", quality=90)
    words = ("--groups", "prefix:_", "--fractions", "a=0.5,b=0.5")
    assert run("split", str(source), "--out", str(out), *words).code == 0
    manifest, records = read_split(out)
    assert manifest.near_duplicates == 28
    for column in ("group", "near"):
        places: dict[object, set[str]] = {}
        for record in records:
            if getattr(record, column) is not None:
                places.setdefault(getattr(record, column), set()).add(record.part)
        assert places
        assert all(len(found) == 1 for found in places.values())


def test_groups_are_read_from_files(run, photos, tmp_path):
    source = photos(cat=10, dog=10)
    names = [f"{kind}/p{number // 4}_{number}.png" for kind in ("cat", "dog") for number in range(10)]
    files = {
        "g.csv": "file,group\n" + "".join(f"{name},{name[-5]}\n" for name in names),
        "g.json": json.dumps({name: name[-5] for name in names}),
        "g.jsonl": "".join(json.dumps({"file": name, "group": name[-5]}) + "\n" for name in names),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        out = tmp_path / name.replace(".", "-")
        assert run("split", str(source), "--out", str(out), "--groups", str(tmp_path / name)).code == 0
        assert all(record.group == record.origin[-5] for record in read_split(out)[1])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--fractions train=0.8,val=0.1", "must add up to 1"),
        ("--fractions train:1", "Cannot read the fractions"),
        ("--fractions fold-1=1.0", "cannot be called 'fold-1'"),
        ("--fractions ../x=1.0", "cannot be called '../x'"),
        ("--folds 1", "2 to 100 folds"),
        ("--groups none.csv", "There is no file none.csv"),
        ("--groups regex:[", "not a regular expression"),
        ("--near-duplicates 3", "from 0 to 0.5"),
        ("--format tar", "cannot be written as 'tar'"),
        ("--seed -1", "seed -1 is out of range"),
        ("--resume --overwrite", "not both"),
    ],
)
def test_a_wrong_request_is_refused_and_nothing_is_written(run, photos, tmp_path, words, message):
    outcome = run("split", str(photos(cat=4, dog=4)), "--out", str(tmp_path / "out"), *words.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert not (tmp_path / "out").exists()


def test_what_is_in_the_output_is_kept_until_asked_otherwise(run, photos, tmp_path):
    source, out = photos(cat=20, dog=20), tmp_path / "out"
    assert run("split", str(source), "--out", str(out)).code == 0
    before = tree(out)
    assert "--overwrite" in run("split", str(source), "--out", str(out)).err
    other = run("split", str(source), "--out", str(out), "--resume", "--seed", "1")
    assert (other.code, "another rule" in other.err) == (2, True)
    assert tree(out) == before
    (out / "train" / "mine.txt").write_text("mine")
    foreign = run("split", str(source), "--out", str(out), "--overwrite")
    assert (foreign.code, "train/mine.txt" in foreign.err) == (2, True)
    (out / "train" / "mine.txt").unlink()
    assert run("split", str(source), "--out", str(out), "--overwrite", "--format", "manifest").code == 0
    assert sorted(os.listdir(out)) == ["split.json", "split.jsonl"]
    assert len(tree(source)) == 40


def test_a_changed_or_lost_sample_is_noticed(run, photos, tmp_path):
    source, out = photos(cat=20, dog=20), tmp_path / "out"
    run("split", str(source), "--out", str(out), "--format", "manifest")
    train = next(one for one in read_split(out)[1] if one.part == "train")
    Image.fromarray(np.zeros((12, 12, 3), dtype=np.uint8)).save(source / train.origin)
    with pytest.raises(SourceError, match=f"changed since the split: {train.origin}"):
        load_images(open_source(out / "train"))
    (source / train.origin).unlink()
    with pytest.raises(SourceError, match="not there any more"):
        open_source(out / "train")


def test_a_split_without_a_part_and_an_unknown_part_are_named(run, photos, tmp_path):
    out = tmp_path / "out"
    run("split", str(photos(cat=20, dog=20)), "--out", str(out), "--folds", "2")
    for spec in (out, out / "split.json"):
        with pytest.raises(SourceError, match=r"Name one of its parts.*fold-1"):
            open_source(spec)
    with pytest.raises(NotFoundError, match=r"'fold-9' in the split \(did you mean"):
        open_source(f"{out / 'split.json'}:fold-9")
    (out / "split.jsonl").write_text("{}")
    with pytest.raises(SourceError, match="damaged"):
        open_source(f"{out / 'split.json'}:fold-1")


def test_source_and_split_can_be_moved_together(run, photos, tmp_path):
    photos("all/photos", cat=20, dog=20)
    words = ("--out", str(tmp_path / "all/out"), "--format", "manifest")
    assert run("split", str(tmp_path / "all/photos"), *words).code == 0
    (tmp_path / "all").rename(tmp_path / "moved")
    assert len(open_source(tmp_path / "moved/out/train").ids) > 0


def test_a_part_is_split_again_by_another_hash(run, tmp_path):
    assert run("split", "digits", "--out", str(tmp_path / "a"), "--near-duplicates", "0").code == 0
    outcome = run("split", str(tmp_path / "a/train"), "--out", str(tmp_path / "b"), "--json")
    counts = [part["count"] for part in json.loads(outcome.out)["parts"]]
    assert all(
        abs(count / sum(counts) - share) < 0.03 for count, share in zip(counts, (0.8, 0.1, 0.1), strict=True)
    )


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_few_samples_are_split_and_what_is_empty_is_said(run, photos, tmp_path, count):
    outcome = run("split", str(photos(cat=count)), "--out", str(tmp_path / "out"))
    assert outcome.code == 0
    assert len(read_split(tmp_path / "out")[1]) == count
    assert ("is empty" in outcome.err) == (count < 3)


def test_unreadable_files_stop_a_split_unless_they_are_left_out(run, photos, tmp_path):
    source = photos(cat=10, dog=10)
    (source / "cat" / "broken.png").write_bytes(b"no picture")
    refused = run("split", str(source), "--out", str(tmp_path / "out"))
    assert (refused.code, "broken.png" in refused.err) == (1, True)
    assert not (tmp_path / "out").exists()
    assert run("split", str(source), "--out", str(tmp_path / "out"), "--skip-unreadable").code == 0
    assert len(read_split(tmp_path / "out")[1]) == 20
