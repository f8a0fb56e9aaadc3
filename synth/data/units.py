"""What must stay together when samples are divided: keys, their places by hash, and units of linked keys."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence

import numpy as np

from synth.errors import UsageError
from synth.randomness import check_seed


def check_lengths(ids: Sequence[str], **columns: Sequence[object] | np.ndarray | None) -> None:
    """Raise UsageError where a column has another length than ``ids``."""
    for name, values in columns.items():
        if values is not None and len(values) != len(ids):
            raise UsageError(f"{len(values)} {name} were given for {len(ids)} ids; give one for each.")


def keys_of(ids: Sequence[str], groups: Sequence[Hashable] | None) -> list[str]:
    """The text that decides for each sample; the prefix keeps a group apart from an id of the same text."""
    if groups is None:
        return [f"id:{name}" for name in ids]
    return [
        f"id:{name}" if group is None else f"group:{group}" for name, group in zip(ids, groups, strict=True)
    ]


def points_of(keys: Sequence[str], seed: int, use: str = "") -> dict[str, float]:
    """A point of [0, 1) for each key: the first 53 bits of its BLAKE2b digest under the seed.

    Points of another ``use`` (at most 16 letters) are independent.
    """
    secret = check_seed(seed).to_bytes(8, "little")
    points = {}
    for key in set(keys):
        digest = hashlib.blake2b(key.encode(), digest_size=8, key=secret, person=use.encode()).digest()
        points[key] = (int.from_bytes(digest, "big") >> 11) * 2.0**-53
    return points


def units_of(ids: Sequence[str], keys: Sequence[str], links: np.ndarray | None = None) -> dict[str, str]:
    """key -> a key that stands for all keys linked to it (disjoint sets by union-find).

    Keys are linked by a shared id, and by ``links``: int64 [M, 2], pairs of positions into ``ids``.
    """
    parent = {key: key for key in keys}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    first: dict[str, str] = {}
    for name, key in zip(ids, keys, strict=True):
        parent[root(key)] = root(first.setdefault(name, key))
    for one, other in () if links is None else links.tolist():
        parent[root(keys[one])] = root(keys[other])
    return {key: root(key) for key in parent}
