"""Near-duplicates by what pictures look like: a perceptual hash to find them, small pictures to make sure.

The hash is pHash: the signs of the 63 lowest frequencies of a grey thumbnail (its cosine transform), here
about their median; Zauner, *Implementation and benchmarking of perceptual image hash functions* (2010). Two
pictures whose hashes differ in few bits are compared pixel by pixel as thumbnails, apart from brightness and
contrast, since on small pictures of one kind (digits, garments) the hash alone takes many for equal that are
not.

Found are pictures saved anew with losses, resized, brightened or darkened, or touched up a little. Not found
are mirrored and turned ones, and ones cropped by more than a few per cent: an encoder's features find some of
those.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from synth.data.forest import Forest

SIDE = 32
"""Pixels a side of a thumbnail."""

_FREQUENCIES = 8
_BLOCK = 2_048
_COMPARED = 8_192
"""Pairs compared pixel by pixel at once: 64 MB."""
_FLAT = 3.0
"""Grey levels: pictures of a smaller standard deviation have no content to compare."""


@dataclass(frozen=True)
class NearRule:
    """When two pictures are near-duplicates. It is a matter of the two alone, whatever else is there.

    Attributes:
        bits: of 64, in which their hashes may differ.
        difference: root mean square of the difference of the thumbnails, brought to mean 0 and deviation 1.
        shift: grey levels by which their means may differ.
        ratio: by which their contrasts (standard deviations) may differ.
    """

    bits: int = 10
    difference: float = 0.16
    shift: float = 48.0
    ratio: float = 1.6


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """uint8 [32, 32], grey, of canonical pixels (uint8 [H, W, C]) of any size; aspect is not kept."""
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("L")
    if picture.size == (SIDE, SIDE):
        return np.asarray(picture)
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0))


class Looks:
    """What is compared of uint8 [N, 32, 32]; ``hashes`` is uint64 [N], 0 for pictures of one colour."""

    def __init__(self, thumbnails: np.ndarray) -> None:
        count = len(thumbnails)
        self.thumbnails = thumbnails
        self.hashes = np.zeros(count, dtype=np.uint64)
        self.low = np.zeros((count, _FREQUENCIES**2), dtype=np.float32)
        self.mean = np.zeros(count, dtype=np.float32)
        self.std = np.zeros(count, dtype=np.float32)
        weights = np.uint64(1) << np.arange(_FREQUENCIES**2, dtype=np.uint64)
        cosines = _cosines()
        for at in range(0, count, _BLOCK):
            rows = slice(at, at + _BLOCK)
            block = thumbnails[rows].astype(np.float32)
            self.mean[rows], self.std[rows] = block.mean(axis=(1, 2)), block.std(axis=(1, 2))
            low = (cosines @ block @ cosines.T).reshape(-1, _FREQUENCIES**2)
            low[:, 0] = 0.0  # the mean is brightness, which does not count
            signs = low > np.median(low[:, 1:], axis=1, keepdims=True)
            signs[:, 0] = False
            signs[self.flat[rows]] = False
            self.hashes[rows] = (signs * weights).sum(axis=1, dtype=np.uint64)
            self.low[rows] = low / (SIDE * self._scale(rows))[:, None]

    @property
    def flat(self) -> np.ndarray:
        """bool [N]: pictures of one colour."""
        return self.std < _FLAT

    def _scale(self, rows: slice | np.ndarray) -> np.ndarray:
        return np.maximum(self.std[rows], 1.0)

    def standardised(self, rows: np.ndarray) -> np.ndarray:
        """float32 [n, 32, 32] of mean 0 and deviation 1."""
        values = self.thumbnails[rows].astype(np.float32) - self.mean[rows, None, None]
        scaled: np.ndarray = values / self._scale(rows)[:, None, None]
        return scaled


def _cosines() -> np.ndarray:
    """float32 [8, 32]: the lowest rows of the orthonormal cosine transform (DCT-II)."""
    rows, columns = np.arange(_FREQUENCIES)[:, None], np.arange(SIDE)[None, :]
    matrix = np.sqrt(2.0 / SIDE) * np.cos(np.pi * (columns + 0.5) * rows / SIDE)
    matrix[0] /= np.sqrt(2.0)
    lowest: np.ndarray = matrix.astype(np.float32)
    return lowest


def near_links(thumbnails: np.ndarray, rule: NearRule | None = None) -> np.ndarray:
    """int64 [M, 2]: near-duplicates (i, j), i < j, among uint8 [N, 32, 32].

    Not all pairs, of which there may be as many as the square of N, but enough, M < N, to lead from each
    picture to all that it is linked with over any number of others (a spanning forest).

    Every pair of hashes is compared: 60,000 pictures take seconds, ten times as many a hundred times as long.
    """
    rule = rule or NearRule()
    looks = Looks(thumbnails)
    forest = Forest(len(thumbnails))
    for pairs in _candidates(looks.hashes, looks.hashes, rule.bits, above_diagonal=True):
        fresh = pairs[forest.root[pairs[:, 0]] != forest.root[pairs[:, 1]]]
        forest.add(_near(looks, looks, fresh, rule)[0])
    return forest.links()


def near_matches(
    thumbnails: np.ndarray, others: np.ndarray, rule: NearRule | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """For each of uint8 [N, 32, 32] the nearest of its near-duplicates among ``others``.

    Returns:
        int64 [N], positions in ``others``, -1 where there is none; and float32 [N], the differences
        (infinite).
    """
    rule = rule or NearRule()
    looks, other_looks = Looks(thumbnails), Looks(others)
    nearest = np.full(len(thumbnails), -1, dtype=np.int64)
    least = np.full(len(thumbnails), np.inf, dtype=np.float32)
    for pairs in _candidates(looks.hashes, other_looks.hashes, rule.bits, above_diagonal=False):
        found, difference = _near(looks, other_looks, pairs, rule)
        # Farthest first: of several values for one place numpy keeps the last.
        order = np.argsort(-difference, kind="stable")
        rows, columns, difference = found[order, 0], found[order, 1], difference[order]
        better = difference < least[rows]
        nearest[rows[better]], least[rows[better]] = columns[better], difference[better]
    return nearest, least


def _candidates(
    hashes: np.ndarray, others: np.ndarray, bits: int, *, above_diagonal: bool
) -> Iterator[np.ndarray]:
    """Pairs int64 [m, 2], m at most ``_COMPARED``, of hashes that differ in at most ``bits`` bits."""
    for top in range(0, len(hashes), _BLOCK):
        for left in range(top if above_diagonal else 0, len(others), _BLOCK):
            differing = np.bitwise_count(
                hashes[top : top + _BLOCK, None] ^ others[None, left : left + _BLOCK]
            )
            rows, columns = np.nonzero(differing <= bits)
            pairs = np.stack([rows + top, columns + left], axis=1)
            if above_diagonal:
                pairs = pairs[pairs[:, 0] < pairs[:, 1]]
            for at in range(0, len(pairs), _COMPARED):
                yield pairs[at : at + _COMPARED]


def _near(one: Looks, other: Looks, pairs: np.ndarray, rule: NearRule) -> tuple[np.ndarray, np.ndarray]:
    """Those of pairs int64 [m, 2] that are near-duplicates, and float32 their differences."""
    i, j = pairs[:, 0], pairs[:, 1]
    a_std, b_std = one.std[i], other.std[j]
    contrast = np.maximum(a_std, b_std) / np.maximum(np.minimum(a_std, b_std), 1e-6)
    shift = np.abs(one.mean[i] - other.mean[j])
    # Of two empty pictures only the brightness can be compared, and it must be the same.
    flat = one.flat[i] & other.flat[j]
    allowed = np.where(flat, shift < _FLAT, (contrast <= rule.ratio) & (shift <= rule.shift))
    # A part of all frequencies differs no more than the whole (Parseval): most pairs end here, at little
    # cost.
    least = np.square(one.low[i] - other.low[j]).sum(axis=1)
    keep = allowed & (flat | (least <= rule.difference**2))
    pairs, flat = pairs[keep], flat[keep]
    apart = one.standardised(pairs[:, 0]) - other.standardised(pairs[:, 1])
    difference = np.where(flat, 0.0, np.sqrt(np.square(apart).mean(axis=(1, 2)))).astype(np.float32)
    near = difference <= rule.difference
    return pairs[near], difference[near]
