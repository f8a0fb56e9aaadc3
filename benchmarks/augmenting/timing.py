"""Contenders timed in turns, by the processor time that they take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

Call = Callable[[], object]


def rates(contenders: Mapping[str, Call], images: int, seconds: float, rounds: int) -> dict[str, list[float]]:
    """Images per second of processor time, by contender and round.

    In each round every contender has a turn of about ``seconds``, and at least one call of ``images``. Time
    is the process's own: waiting for a busy machine does not count, though what others do to its caches does.
    """
    calls = {name: _calls(call, seconds) for name, call in contenders.items()}
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            found[name].append(images * calls[name] / _spent(call, calls[name]))
    return found


def ratio(found: Mapping[str, list[float]], ours: str, theirs: str) -> float:
    """The median over the rounds of our rate by theirs."""
    return median(a / b for a, b in zip(found[ours], found[theirs], strict=True))


def _calls(call: Call, seconds: float) -> int:
    spent = _spent(call, 1)  # what is made once, at the first call
    count = 1
    while (spent := _spent(call, count)) < seconds / 4:
        count *= 4
    return max(1, round(count * seconds / spent))


def _spent(call: Call, count: int) -> float:
    began = time.process_time()
    for _ in range(count):
        call()
    return time.process_time() - began
