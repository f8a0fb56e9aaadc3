from __future__ import annotations

import numpy as np
import pytest

from synth.errors import UsageError
from synth.evaluation.integrity.confident import (
    confident_joint,
    estimate_joint,
    margin,
    prune,
    ranking,
    self_confidence,
)

# Thresholds: class 0 (0.9 + 0.8 + 0.1) / 3 = 0.6, class 1 (0.9 + 0.7) / 2 = 0.8.
PROBABILITIES = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.1, 0.9], [0.3, 0.7]])
LABELS = np.array([0, 0, 0, 1, 1])


def test_the_joint_is_that_of_the_paper_on_a_case_by_hand():
    # The last sample reaches no threshold and counts nowhere.
    assert confident_joint(PROBABILITIES, LABELS).tolist() == [[2, 1], [0, 1]]
    # Rows are calibrated to the given labels, 3 and 2 of 5.
    assert np.allclose(estimate_joint(PROBABILITIES, LABELS), [[0.4, 0.2], [0.0, 0.4]])


def test_the_wrong_label_is_pruned_and_ranked_first():
    assert np.flatnonzero(prune(PROBABILITIES, LABELS)).tolist() == [2]
    assert ranking(PROBABILITIES, LABELS).tolist() == [2, 4, 1, 0, 3]
    assert np.allclose(self_confidence(PROBABILITIES, LABELS), [0.9, 0.8, 0.1, 0.9, 0.7])
    assert np.allclose(margin(PROBABILITIES, LABELS), [0.8, 0.6, -0.8, 0.8, 0.4])


def test_right_labels_of_a_sure_predictor_are_not_doubted():
    labels = np.arange(30) % 3
    assert not prune(np.eye(3)[labels], labels).any()
    assert np.allclose(estimate_joint(np.eye(3)[labels], labels), np.eye(3) / 3)


def test_planted_noise_is_estimated_and_found():
    random = np.random.default_rng(0)
    truth = random.integers(0, 4, 4_000)
    scores = random.normal(0, 1, (4_000, 4)) + 6.0 * np.eye(4)[truth]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    flipped = random.permutation(4_000)[:400]
    labels = truth.copy()
    labels[flipped] = (labels[flipped] + 1) % 4
    joint = estimate_joint(probabilities, labels)
    assert abs(1 - np.trace(joint) - 0.1) < 0.01
    assert np.isin(flipped, ranking(probabilities, labels)[:440]).mean() > 0.98
    found = np.flatnonzero(prune(probabilities, labels))
    assert np.isin(found, flipped).mean() > 0.95


def test_a_class_without_samples_is_no_trouble():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]])
    joint = estimate_joint(probabilities, np.array([0, 1]))
    assert np.isfinite(joint).all()
    assert joint[2].sum() == 0


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        (np.array([[0.5, np.nan]]), np.array([0])),
        (np.array([[0.5, 0.5]]), np.array([2])),
        (np.array([[0.5, 0.5]]), np.array([0, 1])),
        (np.array([[1.0]]), np.array([0])),
    ],
)
def test_what_are_no_probabilities_is_refused(probabilities, labels):
    with pytest.raises(UsageError):
        confident_joint(probabilities, labels)
