"""Neighbours in feature space: votes, near duplicates, partners and pseudo-labels.

Features are float32 [N, D]; what counts is the cosine of their angle, from -1 to 1. Nothing here holds more
than a band of the N x M similarities at a time. Everything raises SourceError where features are not finite
or are no matrix, and UsageError where two sets of features have different dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from synth.errors import SourceError, UsageError
from synth.evaluation.similarity import bands, check_alike, directions
from synth.randomness import stream_id, uniforms

_TEMPERATURE = 0.07
_ROUNDING = 1e-6
"""By which the cosine of equal features falls short of 1."""
_PARTNER = stream_id("evaluation/partner")


class Neighbours(NamedTuple):
    """``similarity`` float32 [N, k], falling; ``rows`` int64 [N, k], whose neighbours they are."""

    similarity: Tensor
    rows: Tensor


class NearPairs(NamedTuple):
    """``first`` < ``second``, int64 [P]; ``similarity`` float32 [P], falling."""

    first: Tensor
    second: Tensor
    similarity: Tensor


class PseudoLabels(NamedTuple):
    """``labels`` int64 [N], -1 where confidence was below the floor; ``confidence`` float32 [N], 0 to 1."""

    labels: Tensor
    confidence: Tensor


def nearest(queries: Tensor, bank: Tensor, count: int, *, same: bool = False) -> Neighbours:
    """The ``count`` rows of ``bank`` most like each query.

    Args:
        same: ``queries`` is ``bank``, and no row is to be its own neighbour.

    Raises UsageError where the bank does not have so many.
    """
    ours, theirs = directions(queries, "queries"), directions(bank, "bank")
    check_alike(ours, theirs)
    there = len(theirs) - int(same)
    if not 1 <= count <= there:
        raise UsageError(f"{count} neighbours were asked for, and there are {there}; ask for 1 to {there}.")
    found = [similarity.topk(count, dim=1) for _, similarity in bands(ours, theirs, without_own=same)]
    if not found:
        return Neighbours(torch.empty(0, count), torch.empty(0, count, dtype=torch.int64))
    values, rows = zip(*found, strict=True)
    return Neighbours(torch.cat(values), torch.cat(rows))


def knn_vote(
    queries: Tensor,
    bank: Tensor,
    labels: Tensor,
    classes: int,
    *,
    neighbours: int = 20,
    temperature: float = _TEMPERATURE,
    same: bool = False,
) -> Tensor:
    """Share of each class in the vote of the nearest: float32 [N, classes], rows sum to 1.

    A neighbour's vote weighs exp(similarity / temperature) (Wu et al., arXiv 1805.01978, section 3.4). Where
    the bank is smaller than ``neighbours``, all of it votes. ``labels`` are int64 [M], of the bank.
    """
    _check_labels(labels, len(bank), classes)
    found = nearest(queries, bank, min(neighbours, len(bank) - int(same)), same=same)
    weights = torch.softmax(found.similarity / temperature, dim=1)
    votes = torch.zeros(len(queries), classes)
    return votes.scatter_add_(1, labels.cpu()[found.rows], weights)


def knn_accuracy(
    queries: Tensor,
    wanted: Tensor,
    bank: Tensor,
    labels: Tensor,
    *,
    neighbours: int = 20,
    temperature: float = _TEMPERATURE,
) -> float:
    """Share of queries whose class (int64 [N]) wins the vote of ``knn_vote``."""
    classes = 1 + int(max(int(wanted.max()), int(labels.max())))
    votes = knn_vote(queries, bank, labels, classes, neighbours=neighbours, temperature=temperature)
    return float((votes.argmax(dim=1) == wanted.cpu()).float().mean())


def pseudo_labels(
    unlabelled: Tensor,
    labelled: Tensor,
    labels: Tensor,
    classes: int,
    *,
    floor: float = 0.9,
    neighbours: int = 20,
    temperature: float = _TEMPERATURE,
) -> PseudoLabels:
    """Labels for features without, from the vote of their labelled neighbours.

    Those whose share of the vote is below ``floor`` get none: no label is made up.

    Raises UsageError for a floor outside 0 to 1.
    """
    if not 0.0 <= floor <= 1.0:
        raise UsageError(f"A confidence floor lies from 0 to 1, not at {floor}.")
    votes = knn_vote(unlabelled, labelled, labels, classes, neighbours=neighbours, temperature=temperature)
    confidence, winner = votes.max(dim=1)
    return PseudoLabels(torch.where(confidence >= floor, winner, -1), confidence)


def near_pairs(features: Tensor, threshold: float, *, most: int = 10_000) -> NearPairs:
    """The pairs of rows at least ``threshold`` alike; of more than ``most``, those most alike."""
    rows_of = directions(features, "features")
    _check_threshold(threshold)
    kept = NearPairs(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64), torch.empty(0))
    for start, similarity in bands(rows_of, rows_of, without_own=True):
        rows, columns = (similarity >= threshold - _ROUNDING).nonzero(as_tuple=True)
        later = columns > rows + start
        rows, columns = rows[later], columns[later]
        values = torch.cat([kept.similarity, similarity[rows, columns]])
        first, second = torch.cat([kept.first, rows + start]), torch.cat([kept.second, columns])
        order = torch.argsort(values, descending=True, stable=True)[:most]
        kept = NearPairs(first[order], second[order], values[order])
    return kept


def near_duplicates(features: Tensor, threshold: float) -> list[list[int]]:
    """Groups of two or more rows that are connected by pairs at least ``threshold`` alike.

    Each group ascends, and groups are in the order of their first row. Whoever splits a data set keeps each
    group on one side.
    """
    rows_of = directions(features, "features")
    _check_threshold(threshold)
    group = np.arange(len(rows_of))
    for start, similarity in bands(rows_of, rows_of, without_own=True):
        known = torch.from_numpy(group)
        # Only what joins two groups counts; so equal rows by the thousand are joined once.
        apart = known[start : start + len(similarity), None] != known
        joins = apart & (similarity >= threshold - _ROUNDING)
        rows, columns = joins.nonzero(as_tuple=True)
        group = _join(group, (rows + start).numpy(), columns.numpy())
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return [part.tolist() for part in parts if len(part) > 1]


def partners(
    features: Tensor,
    *,
    seed: int,
    neighbours: int = 10,
    labels: Tensor | None = None,
    other_class: bool = False,
) -> Tensor:
    """For each row another to mix it with: by key one of its nearest. int64 [N].

    Args:
        seed: with a row's number it decides which of the nearest is taken.
        neighbours: how many are to choose from, as far as there are so many.
        labels: int64 [N], class numbers; needed for ``other_class``.
        other_class: choose among the nearest of other classes, as for mixing across a border.

    Raises:
        UsageError: fewer than two rows, or no labels where they are needed.
        SourceError: a class has no other beside it.
    """
    if len(features) < 2 or neighbours < 1:
        raise UsageError(
            f"Partners need 2 or more samples and 1 or more neighbours, not {len(features)} and {neighbours}."
        )
    draw = uniforms(seed, torch.arange(len(features)), _PARTNER, 1)[:, 0]
    if not other_class:
        found = nearest(features, features, min(neighbours, len(features) - 1), same=True).rows
        return _pick(found, draw)
    if labels is None:
        raise UsageError("Partners of another class need labels; give labels=..., or other_class=False.")
    _check_labels(labels, len(features), 1 + int(labels.max()))
    chosen = torch.empty(len(features), dtype=torch.int64)
    for number in sorted(set(labels.tolist())):
        own, others = (labels == number).nonzero()[:, 0], (labels != number).nonzero()[:, 0]
        if not len(others):
            raise SourceError("All samples are of one class: there is no partner of another class.")
        found = nearest(features[own], features[others], min(neighbours, len(others))).rows
        chosen[own] = others[_pick(found, draw[own])]
    return chosen


def _pick(found: Tensor, draw: Tensor) -> Tensor:
    place = (draw * found.shape[1]).long().clamp(max=found.shape[1] - 1)
    return found.gather(1, place[:, None])[:, 0]


def _join(group: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Groups, each named by its lowest row, after rows ``first`` and ``second`` were joined, pair by pair."""
    while True:
        ours, theirs = group[first], group[second]
        if (ours == theirs).all():
            return group
        group = group.copy()
        np.minimum.at(group, np.maximum(ours, theirs), np.minimum(ours, theirs))
        while not np.array_equal(shorter := group[group], group):
            group = shorter


def _check_threshold(threshold: float) -> None:
    if not -1.0 < threshold <= 1.0:
        raise UsageError(f"A threshold is a cosine above -1 and up to 1, such as 0.95, not {threshold}.")


def _check_labels(labels: Tensor, count: int, classes: int) -> None:
    if labels.shape != (count,):
        raise UsageError(f"{count} samples need as many labels, not {list(labels.shape)}.")
    if count and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise UsageError(f"Labels must be class numbers from 0 to {classes - 1}.")
