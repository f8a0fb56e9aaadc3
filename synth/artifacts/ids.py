"""The ids of the training images, kept small: the first 8 bytes of each content hash."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from safetensors.numpy import load, save

_TENSOR = "ids"
_HEX = 16
"""Hexadecimal digits kept of each id. Two unlike images meet by chance with a probability of 2**-64."""


class TrainingIds:
    """The set of images that a generator was trained on.

    ``id in ids`` takes a content hash (SHA-256, hexadecimal); ``len(ids)`` counts distinct images.
    """

    def __init__(self, prefixes: np.ndarray) -> None:
        """``prefixes``: int64 [N], sorted and distinct."""
        self._prefixes = prefixes

    @staticmethod
    def of(ids: Sequence[str]) -> TrainingIds:
        """The set of these content hashes; ValueError where one is not hexadecimal or too short."""
        return TrainingIds(np.unique(_prefixes(ids)))

    @staticmethod
    def from_bytes(data: bytes) -> TrainingIds:
        """Read what ``to_bytes`` wrote; SafetensorError, KeyError or ValueError for anything else."""
        prefixes = load(data)[_TENSOR]
        if prefixes.ndim != 1 or prefixes.dtype != np.int64:
            raise ValueError(f"{_TENSOR} must be int64 [N], not {prefixes.dtype} {[*prefixes.shape]}")
        return TrainingIds(prefixes)

    def to_bytes(self) -> bytes:
        """A safetensors file with the tensor ``ids``: int64 [N], big-endian prefixes as numbers, sorted."""
        return save({_TENSOR: self._prefixes})

    def union(self, other: TrainingIds) -> TrainingIds:
        """The images of both sets."""
        return TrainingIds(np.union1d(self._prefixes, other._prefixes))

    def __len__(self) -> int:
        return int(self._prefixes.size)

    def __contains__(self, content_hash: object) -> bool:
        return isinstance(content_hash, str) and bool(self.contains([content_hash])[0])

    def contains(self, ids: Sequence[str]) -> np.ndarray:
        """bool [N]: which of these content hashes are in the set; the quick way for many."""
        wanted = _prefixes(ids)
        if not len(self):
            return np.zeros(wanted.shape, dtype=np.bool_)
        place = np.searchsorted(self._prefixes, wanted).clip(max=len(self) - 1)
        return np.asarray(self._prefixes[place] == wanted, dtype=np.bool_)


def _prefixes(ids: Sequence[str]) -> np.ndarray:
    heads = [content_hash[:_HEX] for content_hash in ids]
    for head in heads:
        if len(head) != _HEX:
            raise ValueError(f"An id is a SHA-256 in hexadecimal, not {head!r}.")
    return np.frombuffer(bytes.fromhex("".join(heads)), dtype=">i8").astype(np.int64)
