"""Counter-based randomness: every random number of a sample is a pure function of its key.

A key is ``(seed, index)``; ``stream`` separates independent uses under one key (noise, label, dropout, ...)
and ``position`` counts the words within a stream. The generator is Philox-4x32-10 (Salmon, Moraes, Dror
and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011), written with plain int64 arithmetic on
arrays, so that numpy and torch, CPU and CUDA, eager and compiled code give the same bits:

    key     = (seed low, seed high)
    counter = (position // 4, stream, index low, index high), word ``position % 4``

No sample depends on the batch it is made in. Nothing here reads or writes a global generator.
"""

from __future__ import annotations

import hashlib
import math
import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch

from synth.errors import UsageError

_Words = TypeVar("_Words", np.ndarray, torch.Tensor)
_Word = TypeVar("_Word", int, np.ndarray, torch.Tensor)
Seed = int | torch.Tensor
"""One seed for all samples, 0 to 2**64 - 1; or int64 [N], one for each, as ``seed_word`` writes them."""

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_LOW, _HALF = np.array(_MASK, dtype=np.uint64), np.array(32, dtype=np.uint64)
_FACTORS = [np.array(factor, dtype=np.uint64) for factor in _MULTIPLIERS]
_STEPS = [
    np.array([number * step & _MASK for number in range(_ROUNDS)], dtype=np.uint64).reshape(-1, 1, 1)
    for step in _WEYL
]
"""What the key words have gained by each round."""
_FEW = 8
"""Blocks of four words."""
MAX_SEED = 2**64 - 1
MAX_INDEX = 2**63 - 1


def check_seed(seed: int) -> int:
    """Return ``seed`` as an int, or raise UsageError when it is not an integer of 0 to 2**64 - 1."""
    try:
        value = operator.index(seed)
    except TypeError:
        raise UsageError(f"seed must be an integer, not {seed!r}.") from None
    if isinstance(seed, bool) or not 0 <= value <= MAX_SEED:
        raise UsageError(f"seed {seed} is out of range; use an integer from 0 to 2**64 - 1.")
    return value


def seed_word(seed: int) -> int:
    """The same 64 bits as a signed integer: what an int64 tensor holds in place of ``seed``."""
    return seed - 2**64 if seed >= 2**63 else seed


def stream_id(name: str) -> int:
    """The 32-bit stream number of a name: the first four bytes of its BLAKE2s digest.

    Names keep uses apart without a central list of numbers that two changes could both extend.
    """
    return int.from_bytes(hashlib.blake2s(name.encode(), digest_size=4).digest(), "little")


def philox(
    counter: tuple[_Word, _Word, _Word, _Word], key: tuple[_Word, _Word]
) -> tuple[_Word, _Word, _Word, _Word]:
    """Philox-4x32-10 of four counter words and two key words.

    All words are integers of 0 to 2**32 - 1, or int64 arrays of such (numpy or torch, broadcastable); so are
    the four words returned. Products may wrap at 64 bits, which leaves both 32-bit halves right.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for round_number in range(_ROUNDS):
        if round_number:
            k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            ((p1 >> 32) & _MASK) ^ c1 ^ k0,
            p1 & _MASK,
            ((p0 >> 32) & _MASK) ^ c3 ^ k1,
            p0 & _MASK,
        )
    return c0, c1, c2, c3


def philox_of_few(
    counters: Sequence[tuple[int, int, int, int]], key: tuple[int, int]
) -> list[tuple[int, int, int, int]]:
    """``philox`` of Python's integers alone, in half the time: arrays of so few take longer to begin."""
    rounds = _rounds(key)
    found = []
    for c0, c1, c2, c3 in counters:
        for k0, k1 in rounds:
            p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
            c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & _MASK, (p0 >> 32) ^ c3 ^ k1, p0 & _MASK
        found.append((c0, c1, c2, c3))
    return found


@lru_cache(maxsize=256)
def _rounds(key: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """The two key words of each round."""
    return tuple(
        ((key[0] + number * _WEYL[0]) & _MASK, (key[1] + number * _WEYL[1]) & _MASK)
        for number in range(_ROUNDS)
    )


def bits(seed: Seed, index: _Words, stream: int, count: int) -> _Words:
    """``count`` random 32-bit words for each index.

    Args:
        seed: see ``Seed``; one for each sample only where ``index`` is a tensor.
        index: int64 [N], values of 0 to 2**63 - 1; numpy array or torch tensor on any device.
        stream: 0 to 2**32 - 1, usually from ``stream_id``.
        count: words per index.

    Returns:
        int64 [N, count] of values 0 to 2**32 - 1, of the same library and device as ``index``.
    """
    if not isinstance(seed, torch.Tensor):
        seed = seed_word(check_seed(seed))
    if not isinstance(index, torch.Tensor):
        assert not isinstance(seed, torch.Tensor)
        return _bits_of_numpy(np.int64(seed), np.asarray(index, dtype=np.int64), stream, count)
    if index.device.type == "cpu":
        # A hundred small operations: numpy starts each of them several times faster than torch.
        seeds = seed.numpy() if isinstance(seed, torch.Tensor) else np.int64(seed)
        return torch.from_numpy(_bits_of_numpy(seeds, index.to(torch.int64).numpy(), stream, count))
    blocks = -(-count // 4)
    rows = index.to(torch.int64).reshape(-1, 1)
    columns = torch.arange(blocks, dtype=torch.int64, device=index.device).reshape(1, -1)
    keys = seed.reshape(-1, 1) if isinstance(seed, torch.Tensor) else torch.full_like(columns, seed)
    words = philox(
        # Ten rounds mix every word into every other, so that all four come out as [N, blocks].
        (columns, torch.full_like(columns, stream), rows & _MASK, (rows >> 32) & _MASK),
        (keys & _MASK, (keys >> 32) & _MASK),
    )
    return torch.stack(words, dim=-1).reshape(rows.shape[0], blocks * 4)[:, :count]


def _bits_of_numpy(seed: np.ndarray | np.int64, index: np.ndarray, stream: int, count: int) -> np.ndarray:
    blocks = -(-count // 4)
    if index.size * blocks <= _FEW and np.ndim(seed) == 0:
        words = _bits_of_few(int(seed), index.reshape(-1).tolist(), stream, blocks)
    else:
        words = _bits_of_many(np.reshape(seed, (-1, 1)), index.reshape(-1, 1), stream, blocks)
    return words.reshape(index.size, blocks * 4)[:, :count]


def _bits_of_few(seed: int, index: list[int], stream: int, blocks: int) -> np.ndarray:
    """int64 [N, blocks, 4] by Python's integers, which start at once where numpy takes a microsecond."""
    key = seed & _MASK, seed >> 32 & _MASK
    counters = [(block, stream, number & _MASK, number >> 32) for number in index for block in range(blocks)]
    return np.array(philox_of_few(counters, key), dtype=np.int64).reshape(len(index), blocks, 4)


def _bits_of_many(seed: np.ndarray, index: np.ndarray, stream: int, blocks: int) -> np.ndarray:
    """int64 [N, blocks, 4] of int64 [N or 1, 1] and [N, 1]: ``philox`` in place, without temporary arrays."""
    seeds, rows = seed.astype(np.uint64), index.astype(np.uint64)
    c0, c1, c2, c3, p0, p1 = (np.empty((rows.size, blocks), dtype=np.uint64) for _ in range(6))
    c0[:], c1[:] = np.arange(blocks, dtype=np.uint64), stream
    c2[:], c3[:] = rows & _LOW, rows >> _HALF
    first = ((seeds & _LOW) + _STEPS[0]) & _LOW
    second = ((seeds >> _HALF) + _STEPS[1]) & _LOW
    for k0, k1 in zip(first, second, strict=True):
        np.multiply(c0, _FACTORS[0], out=p0)
        np.multiply(c2, _FACTORS[1], out=p1)
        np.right_shift(p1, _HALF, out=c0)
        np.bitwise_xor(c0, c1, out=c0)
        np.bitwise_xor(c0, k0, out=c0)
        np.bitwise_and(p1, _LOW, out=c1)
        np.right_shift(p0, _HALF, out=c2)
        np.bitwise_xor(c2, c3, out=c2)
        np.bitwise_xor(c2, k1, out=c2)
        np.bitwise_and(p0, _LOW, out=c3)
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.int64)


def uniforms(seed: Seed, index: _Words, stream: int, count: int) -> _Words:
    """float32 [N, count] in [0, 1), multiples of 2**-24; equal to the last bit in numpy and torch."""
    top = bits(seed, index, stream, count) >> 8
    if isinstance(top, torch.Tensor):
        return top.to(torch.float32) * 2.0**-24
    return top.astype(np.float32) * np.float32(2.0**-24)


def normals(seed: Seed, index: _Words, stream: int, count: int) -> _Words:
    """float32 [N, count] of standard normals by the Box-Muller transform, |x| < 6.7.

    The bits beneath are identical everywhere; logarithm, sine and cosine may differ between libraries and
    devices in the last place.
    """
    pairs = -(-count // 2)
    words = bits(seed, index, stream, 2 * pairs)
    rows = words.shape[0]
    words = words.reshape(rows, pairs, 2)
    if isinstance(words, torch.Tensor):
        # (bits + 1) / 2**32 lies in (0, 1], so that the logarithm is finite.
        radius = torch.sqrt(-2.0 * torch.log((words[..., 0] + 1).to(torch.float32) * 2.0**-32))
        angle = words[..., 1].to(torch.float32) * (2.0 * math.pi * 2.0**-32)
        both = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], dim=-1)
        return both.reshape(rows, 2 * pairs)[:, :count]
    first, second = words[..., 0], words[..., 1]
    radius_np = np.sqrt(np.float32(-2.0) * np.log((first + 1).astype(np.float32) * np.float32(2.0**-32)))
    angle_np = second.astype(np.float32) * np.float32(2.0 * math.pi * 2.0**-32)
    both_np = np.stack([radius_np * np.cos(angle_np), radius_np * np.sin(angle_np)], axis=-1)
    return both_np.reshape(rows, 2 * pairs)[:, :count]


def permutation(seed: int, index: int, stream: int, size: int) -> np.ndarray:
    """int64 [size]: a random order of ``range(size)``, a pure function of its arguments.

    Sorts 64-bit random keys; ties (expected size**2 / 2**65) fall back to the original order.
    """
    words = bits(seed, np.asarray([index], dtype=np.int64), stream, 2 * size)[0].astype(np.uint64)
    return np.argsort((words[:size] << np.uint64(32)) | words[size:], kind="stable").astype(np.int64)
