"""Splitting a source into parts by content, so that parts never leak into each other as files are added."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from itertools import accumulate

import numpy as np

from synth.data.units import check_lengths, keys_of, points_of, units_of
from synth.errors import ConfigError


def split_by_hash(
    ids: Sequence[str],
    fractions: Mapping[str, float],
    labels: Sequence[int] | np.ndarray | None = None,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
    links: np.ndarray | None = None,
    use: str = "",
) -> dict[str, np.ndarray]:
    """Split samples into named parts, by a keyed hash of their content.

    **The rule.** The key of a sample is its group, or its id where it has none. A keyed hash maps each key to
    a point of [0, 1), and the parts are consecutive ranges of [0, 1). The *first* part of ``fractions`` is
    the one to train on, the others are held out. The ranges lie in the order of ``fractions``, but with
    training second, so that two held-out parts border on it from both sides.

    1. Keys that share an id (the same image in two groups), or are linked (near-duplicates), are one unit;
       all else is a unit by itself. A unit goes to the earliest part that one of its keys falls into.
    2. A class none of whose keys falls into some held-out part takes, for each such part in turn, the key
       nearest to that part's range out of its keys in the training range. The key's unit moves to that part
       if it is that key alone and holds no other class.

    **Equal stays together.** Equal ids, equal groups and linked samples are always in the same part, whatever
    their labels. So the larger a unit is, the more likely it is to be trained on.

    **Stratification.** By (1) each class has the given fractions in expectation. By (2) a class is present in
    every held-out part as long as it has keys enough in the training range and they are its own; a class of
    ten such keys, split by 80, 10 and 10 per cent, lacks in a part once in 10**7 splits, and that part is
    training. A class of fewer keys than parts serves the held-out parts first. (It must: any rule that is
    stable, and sure to serve a class of ten keys, holds out a key that is alone in its class; for what is
    held out of ten must have been held out already when the other nine were not yet there.)

    **Stability.** Adding samples never moves an existing sample from training into a held-out part. For
    suppose that it did, with unit u. By (1) a unit only moves to earlier parts as it gains keys, so u was
    moved by (2) afterwards, for class c and part p, and not before. Afterwards no key of c lies in p, so none
    did before; u is one key and of one class, so it was that before; and u is nearest to p of all the keys of
    c but those taken for earlier parts. All of these but the new ones were there before, and by induction
    over the parts no old key of c is taken afterwards that was not taken before: so u was taken before, too.
    Samples may move from a held-out part into training (a new sample serves the held-out part instead), or
    rarely between held-out parts; neither shows a model what it was trained on. Changing ``fractions``,
    ``seed`` or the labels of existing samples makes another split. Links must be a matter of the two samples
    alone (a fixed threshold), so that adding samples takes none away.

    Args:
        ids: content hash of each sample; N of them.
        fractions: part name -> fraction of 0 to 1, adding up to 1; the first part is for training.
        labels: N class numbers; None treats all samples as one class.
        groups: N group keys (patient, video, scene); None for a sample, or for all, means no group.
        seed: 0 to 2**64 - 1; another seed makes an independent split.
        links: int64 [M, 2], pairs of positions that must not be separated; None: there are none.
        use: at most 16 letters. A part that is split once more under the same seed needs another ``use``: its
            samples were chosen by the first hash, and would all fall into the same range of it again.

    Returns:
        Part name -> int64 positions into ``ids``, ascending; together they are all positions, each once.

    Raises:
        ConfigError: fractions that are not fractions, or do not add up to 1.
        UsageError: labels or groups of another length than ids, or a bad seed.
    """
    order, edges = _ranges(fractions)
    check_lengths(ids, labels=labels, groups=groups)
    keys = keys_of(ids, groups)
    classes = [0] * len(ids) if labels is None else np.asarray(labels).tolist()
    points = points_of(keys, seed, use)
    part_of = {key: order[bisect_right(edges, point)] for key, point in points.items()}
    unit_of = units_of(ids, keys, links)

    unit_part: dict[str, int] = {}
    unit_keys: dict[str, set[str]] = defaultdict(set)
    unit_classes: dict[str, set[int]] = defaultdict(set)
    class_keys: dict[int, set[str]] = defaultdict(set)
    for key, label in zip(keys, classes, strict=True):
        unit = unit_of[key]
        unit_part[unit] = min(unit_part.get(unit, len(fractions)), part_of[key])
        unit_keys[unit].add(key)
        unit_classes[unit].add(label)
        class_keys[label].add(key)
    for members in class_keys.values():
        for key, part in _serve(members, points, part_of, order, edges).items():
            unit = unit_of[key]
            if len(unit_keys[unit]) == 1 and len(unit_classes[unit]) == 1:
                unit_part[unit] = part

    parts = np.array([unit_part[unit_of[key]] for key in keys], dtype=np.int64)
    return {name: np.flatnonzero(parts == number) for number, name in enumerate(fractions)}


def _serve(
    members: set[str],
    points: Mapping[str, float],
    part_of: Mapping[str, int],
    order: Sequence[int],
    edges: Sequence[float],
) -> dict[str, int]:
    """The keys of one class that go to the held-out parts without a key of their own: key -> part."""
    filled = {part_of[key] for key in members}
    free = {key for key in members if part_of[key] == 0}
    bounds = [0.0, *edges, 1.0]
    taken: dict[str, int] = {}
    for part in range(1, len(order)):
        place = order.index(part)
        if part in filled or bounds[place] == bounds[place + 1] or not free:
            continue
        side = min if place < order.index(0) else max
        nearest = side(free, key=lambda key: (points[key], key))
        taken[nearest] = part
        free.remove(nearest)
    return taken


def _ranges(fractions: Mapping[str, float]) -> tuple[list[int], list[float]]:
    """The numbers of the parts in the order of their ranges, and where each range but the first begins."""
    values = list(fractions.values())
    text = ", ".join(f"{name} {value}" for name, value in fractions.items())
    if not all(math.isfinite(value) and 0 <= value <= 1 for value in values):
        raise ConfigError(f"Each fraction must be from 0 to 1, not {text}.")
    if not math.isclose(sum(values), 1.0, abs_tol=1e-6):
        raise ConfigError(f"The fractions must add up to 1; {text or 'none'} add up to {sum(values):g}.")
    order = [1, 0, *range(2, len(values))] if len(values) > 1 else [0]
    edges = list(accumulate(values[part] for part in order))[:-1]
    # Rounding must not open a sliver for a last part of fraction 0.
    return order, [1.0 if edge > 1 - 1e-9 else edge for edge in edges]
