"""Folds for cross-validation: each sample in exactly one, by content, so that folds stay as data grow."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from synth.data.units import check_lengths, keys_of, points_of, units_of
from synth.errors import ConfigError

MOST_FOLDS = 100


def fold_by_hash(
    ids: Sequence[str],
    folds: int,
    labels: Sequence[int] | np.ndarray | None = None,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
    links: np.ndarray | None = None,
    use: str = "folds",
) -> np.ndarray:
    """The fold of each sample, by a keyed hash of its content or group.

    **The rule.** As in ``split_by_hash`` the key of a sample is its group, or its id where it has none; keys
    that share an id or are linked are one unit. A keyed hash maps each key to a fold, and a unit goes to the
    fold of its key with the least hash. A class that lacks in a fold then takes, out of its keys that are a
    unit by themselves and of one class, and whose fold holds another one of the class, the first in the
    order of the hash's further digits.

    **Stratification.** Each class has ``1 / folds`` of its keys in each fold in expectation, and at least
    one in every fold as long as it has keys enough that are its own.

    **Stability.** A sample stays in its fold as others are added, with two exceptions: one that serves a
    fold which its class lacks in returns to its own once that is served by another; and a unit may move that
    gains a key. A class of 12 keys a fold lacks in one of 5 once in 10**5 splits, so that the first is rare.
    The hash is independent of that of ``split_by_hash``: the training part of a split can be folded.

    Args:
        ids: content hash of each sample; N of them.
        folds: 2 to 100.
        labels: N class numbers; None treats all samples as one class.
        groups: N group keys; None for a sample, or for all, means no group.
        seed: 0 to 2**64 - 1.
        links: int64 [M, 2], pairs of positions that must not be separated.
        use: as in ``split_by_hash``.

    Returns:
        int64 [N] of 0 to ``folds`` - 1. Folds are empty where there are fewer units than folds.

    Raises:
        ConfigError: a number of folds that cannot be.
        UsageError: labels or groups of another length than ids, or a bad seed.
    """
    if isinstance(folds, bool) or not 2 <= folds <= MOST_FOLDS:
        raise ConfigError(f"Cross-validation takes 2 to {MOST_FOLDS} folds, not {folds}.")
    check_lengths(ids, labels=labels, groups=groups)
    keys = keys_of(ids, groups)
    classes = [0] * len(ids) if labels is None else np.asarray(labels).tolist()
    points = points_of(keys, seed, use)
    unit_of = units_of(ids, keys, links)

    leaders: dict[str, str] = {}
    unit_keys: dict[str, set[str]] = defaultdict(set)
    unit_classes: dict[str, set[int]] = defaultdict(set)
    for key, label in zip(keys, classes, strict=True):
        unit = unit_of[key]
        leaders[unit] = min(leaders.get(unit, key), key, key=lambda one: (points[one], one))
        unit_keys[unit].add(key)
        unit_classes[unit].add(label)
    fold_of = {unit: int(points[key] * folds) for unit, key in leaders.items()}
    class_units: dict[int, list[str]] = defaultdict(list)
    for unit, found in unit_classes.items():
        for label in found:
            class_units[label].append(unit)
    free = {unit for unit in fold_of if len(unit_keys[unit]) == 1 and len(unit_classes[unit]) == 1}
    for label in sorted(class_units):
        _serve(class_units[label], free, fold_of, points, folds)
    return np.array([fold_of[unit_of[key]] for key in keys], dtype=np.int64)


def _serve(
    units: Sequence[str], free: set[str], fold_of: dict[str, int], points: Mapping[str, float], folds: int
) -> None:
    """Give each fold that lacks in one class a unit of it, changing ``fold_of``."""
    counts = Counter(fold_of[unit] for unit in units)
    # A free unit is one key, and called by it. The digits of its point that did not decide its fold decide
    # here.
    candidates = sorted((unit for unit in units if unit in free), key=lambda u: (points[u] * folds % 1.0, u))
    for fold in range(folds):
        if counts[fold]:
            continue
        for position, unit in enumerate(candidates):
            if counts[fold_of[unit]] > 1:
                counts[fold_of[unit]] -= 1
                counts[fold] += 1
                fold_of[unit] = fold
                del candidates[position]
                break
