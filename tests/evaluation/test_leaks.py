from __future__ import annotations

import pytest

from synth.artifacts import Store
from synth.data import open_source
from synth.data.splits import SplitRule, make_split
from synth.errors import LeakError, SynthError
from synth.evaluation.leaks import check_apart, check_no_leak


def test_images_that_a_model_was_trained_on_are_refused_with_count_and_examples(tiny, tmp_path):
    artifact = tiny.untrained(Store())
    trained, other = "00" * 32, "11" * 32
    check_no_leak(artifact, [other], "holdout")
    check_no_leak(artifact, [], "holdout")
    with pytest.raises(LeakError, match=r"toys@1 was trained on 1 of the 2 images in fold-2: 000000000000"):
        check_no_leak(artifact, [other, trained], "fold-2")
    with pytest.raises(LeakError, match=r"a\.png, b\.png, c\.png and 1 more"):
        check_no_leak(artifact, [trained] * 4, "x", origins=["a.png", "b.png", "c.png", "d.png"])


def test_a_generator_may_be_measured_on_its_test_fold_only(tiny, tmp_path):
    source = open_source(tiny.source(tmp_path / "toys.npz", count=60))
    split = make_split(source, SplitRule(fractions={"all": 1.0}, folds=3))
    rows = [row for row, one in enumerate(split.records) if one.fold != 1]
    import numpy as np

    arrays = dict(np.load(tmp_path / "toys.npz"))
    np.savez(
        tmp_path / "train.npz",
        images=arrays["images"][rows],
        labels=arrays["labels"][rows],
        class_names=arrays["class_names"],
    )
    artifact = tiny.fit(tmp_path / "train.npz")
    check_no_leak(artifact, [one.id for one in split.records if one.fold == 1], "fold-1")
    with pytest.raises(LeakError, match="in fold-2"):
        check_no_leak(artifact, [one.id for one in split.records if one.fold == 2], "fold-2")


def test_a_holdout_that_overlaps_training_is_refused():
    check_apart(["a" * 64], ["b" * 64], "holdout", "train")
    with pytest.raises(LeakError, match=r"1 of the 2 images in holdout are in train, too: aaaaaaaaaaaa"):
        check_apart(["a" * 64, "c" * 64], ["a" * 64], "holdout", "train")
    assert LeakError.exit_code == 2
    assert issubclass(LeakError, SynthError)
