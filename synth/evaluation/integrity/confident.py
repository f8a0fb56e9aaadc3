"""Confident learning: which labels are probably wrong, from out-of-sample probabilities.

Northcutt, Jiang and Chuang, *Confident Learning: Estimating Uncertainty in Dataset Labels*, JAIR 70 (2021),
arXiv 1911.00068. Written from the paper.
"""

from __future__ import annotations

import numpy as np

from synth.errors import UsageError


def confident_joint(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """int64 [K, K]: how many samples of given label i count as of true label j (equation 1 of the paper).

    A sample counts as of the class of its highest probability among those that reach the class's threshold:
    the mean probability of the class over the samples given its label. Samples that reach none count nowhere.

    Args:
        probabilities: float [N, K], rows adding up to 1, of a model that did not see the sample.
        labels: int64 [N], the given labels.
    """
    check_probabilities(probabilities, labels)
    joint = np.zeros((probabilities.shape[1],) * 2, dtype=np.int64)
    guess = confident_guess(probabilities, labels)
    np.add.at(joint, (labels[guess >= 0], guess[guess >= 0]), 1)
    return joint


def confident_guess(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """int64 [N]: the class that each sample counts as of, -1 for none; see ``confident_joint``."""
    classes = probabilities.shape[1]
    # A class that no sample is given has no threshold to reach.
    thresholds = np.array(
        [probabilities[labels == j, j].mean() if (labels == j).any() else np.inf for j in range(classes)]
    )
    reached = np.where(probabilities >= thresholds, probabilities, -1.0)
    guess: np.ndarray = np.where(reached.max(axis=1) >= 0.0, reached.argmax(axis=1), -1).astype(np.int64)
    return guess


def estimate_joint(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """float64 [K, K], adding up to 1: the joint distribution of given and true labels (equation 3)."""
    joint = confident_joint(probabilities, labels).astype(np.float64)
    given = np.bincount(labels, minlength=joint.shape[0]).astype(np.float64)
    rows = joint.sum(axis=1)
    # A class without one confident sample: its labels are taken as they are.
    joint[rows == 0] = np.eye(len(joint))[rows == 0]
    joint *= (given / joint.sum(axis=1))[:, None]
    calibrated: np.ndarray = joint / joint.sum()
    return calibrated


def self_confidence(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """float64 [N]: the probability of the given label; the lower, the more suspicious."""
    return np.asarray(probabilities[np.arange(len(labels)), labels], dtype=np.float64)


def margin(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """float64 [N], -1 to 1: the probability of the given label less that of the best other one."""
    others = probabilities.astype(np.float64).copy()
    others[np.arange(len(labels)), labels] = -np.inf
    best_other: np.ndarray = others.max(axis=1)
    return self_confidence(probabilities, labels) - best_other


def prune(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """bool [N]: the samples to be looked at, by noise rate (section 3.2).

    For each given label i and true label j, as many as the joint estimates: those of label i with the
    greatest lead of class j over i.
    """
    estimate = estimate_joint(probabilities, labels) * len(labels)
    pruned = np.zeros(len(labels), dtype=np.bool_)
    for i in range(len(estimate)):
        rows = np.flatnonzero(labels == i)
        for j in range(len(estimate)):
            count = min(int(np.rint(estimate[i, j])), len(rows))
            if i == j or count == 0:
                continue
            lead = probabilities[rows, j] - probabilities[rows, i]
            order = np.argsort(-lead, kind="stable")[:count]
            pruned[rows[order[lead[order] > 0]]] = True
    return pruned


def ranking(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """int64 [N]: all samples, most suspicious first, by self-confidence and, where that is equal, margin."""
    return np.lexsort((margin(probabilities, labels), self_confidence(probabilities, labels)))


def check_probabilities(probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Raise UsageError where these are not probabilities [N, K] for labels [N] below K."""
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or probabilities.shape[1] < 2:
        raise UsageError(
            f"Probabilities {[*probabilities.shape]} do not fit labels {[*labels.shape]}: they are [N, K] "
            f"and [N]."
        )
    if not np.isfinite(probabilities).all() or probabilities.min(initial=0) < 0:
        raise UsageError("Probabilities must be finite and not negative. Use another predictor.")
    if len(labels) and not 0 <= labels.min() <= labels.max() < probabilities.shape[1]:
        raise UsageError(f"Labels must be from 0 to {probabilities.shape[1] - 1}.")
