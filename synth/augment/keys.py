"""Keys of augmentation: (seed, epoch, sample, operation), and the random words that follow from them.

The words of an operation are Philox of (seed and epoch, sample, name of the operation, position), so that
no operation's draws depend on which others there are, nor any sample's on the batch it is in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from synth.errors import UsageError
from synth.randomness import MAX_INDEX, bits, check_seed, philox, philox_of_few, stream_id

SampleId = str | int
_MASK = 0xFFFFFFFF
_EPOCHS = stream_id("augment:epoch")
_FEW = 8
"""Blocks of four words that Python's integers make sooner than numpy's arrays."""


def sample_words(ids: Sequence[SampleId]) -> np.ndarray:
    """int64 [N]: what stands for each sample in its key. Whole numbers stand for themselves.

    Raises UsageError for an id that is neither text nor a number of 0 to 2**63 - 1.
    """
    return np.array([_word(one) for one in ids], dtype=np.int64)


def _word(name: SampleId) -> int:
    if isinstance(name, str):
        return int.from_bytes(hashlib.blake2s(name.encode(), digest_size=8).digest(), "little") & MAX_INDEX
    if isinstance(name, (int, np.integer)) and not isinstance(name, bool) and 0 <= name <= MAX_INDEX:
        return int(name)
    raise UsageError(f"The id of a sample is a text, or a whole number of 0 to 2**63 - 1, not {name!r}.")


def epoch_key(seed: int, epoch: int) -> tuple[int, int]:
    """The two words that all draws of an epoch are keyed by.

    Raises UsageError for a seed outside 0 to 2**64 - 1, or an epoch outside 0 to 2**63 - 1.
    """
    if isinstance(epoch, bool) or not isinstance(epoch, (int, np.integer)) or not 0 <= epoch <= MAX_INDEX:
        raise UsageError(f"An epoch is a whole number from 0, not {epoch!r}.")
    return _epoch_words(check_seed(seed), int(epoch))


@lru_cache(maxsize=256)
def _epoch_words(seed: int, epoch: int) -> tuple[int, int]:
    first, second = bits(seed, np.asarray([epoch], dtype=np.int64), _EPOCHS, 2)[0]
    return int(first), int(second)


class Layout:
    """Where each operation's words lie among those of a sample. Made once for a pipeline.

    Args:
        wanted: by name of the operation, how many words it takes.
    """

    def __init__(self, wanted: Mapping[str, int]) -> None:
        blocks = {name: -(-count // 4) for name, count in wanted.items()}
        self.streams = [stream_id(name) for name, count in blocks.items() for _ in range(count)]
        self.positions = [position for count in blocks.values() for position in range(count)]
        self.at: dict[str, slice] = {}
        begin = 0
        for name, count in wanted.items():
            self.at[name] = slice(begin, begin + count)
            begin += 4 * blocks[name]


class Draws:
    """The random words of several operations for N samples, computed at once.

    Args:
        key: see ``epoch_key``.
        samples: int64 [N], see ``sample_words``.
        layout: of their words.
    """

    def __init__(self, key: tuple[int, int], samples: np.ndarray, layout: Layout) -> None:
        self.rows = np.arange(len(samples))
        self._words = _words(key, samples, layout)
        self._at = layout.at

    def of(self, name: str) -> np.ndarray:
        """int64 [N, count] of 0 to 2**32 - 1: the words of one operation."""
        return self._words[:, self._at[name]]


def unit(words: np.ndarray) -> np.ndarray:
    """float64 in [0, 1): multiples of 2**-24, as ``synth.randomness.uniforms`` gives them."""
    return np.asarray((words >> 8) * 2.0**-24)


def noise_key(words: np.ndarray) -> np.ndarray:
    """int64 [N] of 0 to 2**63 - 1, made of two words each, [N, 2]: the key of a field of noise."""
    return np.asarray((words[:, 0] & 0x7FFFFFFF) << 32 | words[:, 1])


def chances(keys: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """uint64 [N, names]: a number for each key, int64 [N], and name, whatever other names there are.

    The finaliser of SplitMix64 (Steele et al., OOPSLA 2014) of their sum: keys are uniform already.
    """
    found = keys.astype(np.uint64)[:, None] + _marks(names)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        found ^= found >> np.uint64(shift)
        found *= np.uint64(factor)
    return np.asarray(found ^ found >> np.uint64(31))


@lru_cache(maxsize=256)
def _marks(names: tuple[str, ...]) -> np.ndarray:
    return sample_words(names).astype(np.uint64)


def _words(key: tuple[int, int], samples: np.ndarray, layout: Layout) -> np.ndarray:
    streams, positions = layout.streams, layout.positions
    count, blocks = len(samples), len(streams)
    if not blocks:
        return np.empty((count, 0), dtype=np.int64)
    if count * blocks <= _FEW:
        few = philox_of_few(
            [
                (position, stream, sample & _MASK, sample >> 32)
                for sample in samples.tolist()
                for stream, position in zip(streams, positions, strict=True)
            ],
            key,
        )
        return np.array(few, dtype=np.int64).reshape(count, 4 * blocks)
    shape = (count, blocks)
    words = philox(
        (
            np.broadcast_to(np.array(positions, dtype=np.int64), shape),
            np.broadcast_to(np.array(streams, dtype=np.int64), shape),
            np.broadcast_to((samples & _MASK)[:, None], shape),
            np.broadcast_to((samples >> 32)[:, None], shape),
        ),
        (np.full((1, 1), key[0], dtype=np.int64), np.full((1, 1), key[1], dtype=np.int64)),
    )
    return np.stack(words, axis=-1).reshape(count, 4 * blocks)
