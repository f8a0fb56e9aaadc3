import numpy as np
import pytest
import torch

from synth.errors import LabelError
from synth.labels import class_number, parse_counts, resolve_labels

CLASSES = ("cat", "dog", "7")


def resolve(labels, count=6, start=0, classes=CLASSES, seed=0, proportions=None):
    index = torch.arange(start, start + count)
    return resolve_labels(labels, classes=classes, index=index, seed=seed, proportions=proportions)


def test_labels_are_int64_one_for_each_sample():
    for labels in ("any", "balanced", "dog", 1, {"dog": 6}, [0] * 6):
        found = resolve(labels)
        assert found.dtype == torch.int64
        assert found.shape == (6,)


def test_any_is_drawn_in_the_proportions_of_the_training_data():
    counts = torch.bincount(resolve("any", 30_000, proportions=[1, 3, 0]), minlength=3)
    assert counts[2] == 0
    assert abs(int(counts[1]) - 22_500) < 4 * (30_000 * 0.25 * 0.75) ** 0.5
    counts = torch.bincount(resolve("any", 30_000), minlength=3)
    assert (counts - 10_000).abs().max() < 4 * (30_000 * 2 / 9) ** 0.5


def test_the_label_of_a_sample_depends_on_its_key_alone():
    for labels in ("any", "balanced"):
        assert torch.equal(resolve(labels, 100)[40:50], resolve(labels, 10, start=40))
    assert not torch.equal(resolve("any", 100), resolve("any", 100, seed=1))


def test_balanced_gives_every_class_its_share():
    assert torch.bincount(resolve("balanced", 10)).tolist() == [4, 3, 3]


@pytest.mark.parametrize("labels", ["dog", 1, "1", np.int64(1)])
def test_one_class_by_name_or_number_is_for_all(labels):
    assert resolve(labels).tolist() == [1] * 6


def test_a_name_wins_over_a_number_written_as_text():
    assert class_number("7", CLASSES) == 2


@pytest.mark.parametrize(
    "labels", [{"dog": 2, "cat": 4}, "dog=2,cat=4", " dog = 2, cat = 4", "dog=2,cat=4,7=0"]
)
def test_counts_are_filled_in_the_order_given(labels):
    assert resolve(labels).tolist() == [1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "labels",
    [
        ["cat", 1, "7"],
        np.array([0, 1, 2]),
        torch.tensor([0, 1, 2]),
        torch.tensor([0, 1, 2], dtype=torch.uint8),
    ],
)
def test_a_sequence_has_one_label_for_each_sample(labels):
    assert resolve(labels, 3).tolist() == [0, 1, 2]


def test_a_class_name_may_hold_an_equals_sign():
    assert parse_counts("a=b=3") == {"a=b": 3}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("dgo", r"did you mean 'dog'\?.*Classes: cat, dog, 7"),
        ("9" * 5000, "There is no class"),
        (3, "3 classes, 0 to 2"),
        (-1, "3 classes, 0 to 2"),
        (True, "not True"),
        (None, "not None"),
        (1.5, "not 1.5"),
        (["cat", 1.5, "cat", "cat", "cat", "cat"], "not 1.5"),
        (["cat"], "1 labels were given for 6 samples"),
        ({"cat": 5}, "add up to 5, but 6"),
        ({"cat": 10**12}, "add up to 1000000000000, but 6"),
        ({"cat": -1, "dog": 7}, "whole number"),
        ({"cat": 2.5}, "whole number"),
        ({"bird": 6}, "no class 'bird'"),
        ("cat=6,dog", "Cannot read"),
        ("cat=x", "Cannot read"),
        ("=6", "Cannot read"),
        ("cat=" + "9" * 5000, "Cannot read"),
        ("cat=3,cat=3", "twice"),
        (torch.zeros(6), "integer tensor"),
        (torch.zeros(6, 1, dtype=torch.int64), "integer tensor"),
        (torch.zeros(6, dtype=torch.bool), "integer tensor"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(LabelError, match=message):
        resolve(labels)


def test_a_model_without_classes_takes_any_label_and_no_other():
    assert resolve("any", classes=None) is None
    for labels in ("balanced", 0, {"cat": 6}):
        with pytest.raises(LabelError, match="trained without labels"):
            resolve(labels, classes=None)
