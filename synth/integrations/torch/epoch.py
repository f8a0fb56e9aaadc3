"""The number of the epoch, which worker processes see change."""

from __future__ import annotations

import torch

from synth.integrations.turns import check_whole


class Epoch:
    """A number in shared memory: workers that live longer than an epoch see the next one."""

    def __init__(self) -> None:
        self._value = torch.zeros((), dtype=torch.int64)
        self._value.share_memory_()  # type: ignore[no-untyped-call]

    def set(self, epoch: int) -> None:
        """Raises UsageError for anything but a whole number from 0."""
        self._value.fill_(check_whole("epoch", epoch, 0))

    def get(self) -> int:
        return int(self._value)
