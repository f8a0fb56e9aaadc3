"""Bringing pixels from the device into memory while the device computes the next bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

_SLOTS = 2
"""Buckets on their way at once: one is being copied while the next is computed."""


class Transfer(Protocol):
    """Copies buckets into their places, in order."""

    def put(self, pixels: Tensor, target: Tensor) -> None:
        """Begin to copy uint8 ``pixels`` of the device into ``target`` in memory; both of equal shape.

        The device's memory may be used anew at once; ``target`` is filled once ``finish`` returns.
        """

    def finish(self) -> None:
        """Wait until everything has arrived."""


class DirectTransfer:
    """For the CPU, whose pixels are in memory already."""

    def put(self, pixels: Tensor, target: Tensor) -> None:
        target.copy_(pixels)

    def finish(self) -> None:
        pass


@dataclass
class _Slot:
    """A place on the device and a page-locked one in memory, for one bucket on its way."""

    staging: Tensor
    pinned: Tensor
    arrived: torch.cuda.Event
    target: Tensor | None = None


class PinnedTransfer:
    """For CUDA: a ring of page-locked buffers, allocated once, and a stream of its own for the copies.

    Copies from pageable memory block the host; those from page-locked memory run beside the computation.
    """

    def __init__(self, device: torch.device, most_bytes: int) -> None:
        """``most_bytes``: of the pixels of one bucket."""
        self._device, self._most_bytes = device, most_bytes
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._slots = [
            _Slot(
                torch.empty(most_bytes, dtype=torch.uint8, device=device),
                torch.empty(most_bytes, dtype=torch.uint8, pin_memory=True),
                torch.cuda.Event(),  # type: ignore[no-untyped-call]
            )
            for _ in range(_SLOTS)
        ]
        self._next = 0

    def put(self, pixels: Tensor, target: Tensor) -> None:
        if pixels.numel() > self._most_bytes:  # of images larger than the buffers were made for
            target.copy_(pixels)
            return
        slot = self._slots[self._next]
        self._next = (self._next + 1) % _SLOTS
        self._land(slot)
        size = pixels.numel()
        # The bucket's own memory is overwritten by the next replay, so that it is copied aside first.
        slot.staging[:size].view(pixels.shape).copy_(pixels)
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            slot.pinned[:size].copy_(slot.staging[:size], non_blocking=True)
            slot.arrived.record(self._stream)
        slot.target = target

    def finish(self) -> None:
        for slot in self._slots:
            self._land(slot)

    def _land(self, slot: _Slot) -> None:
        if slot.target is not None:
            slot.arrived.synchronize()
            slot.target.copy_(slot.pinned[: slot.target.numel()].view(slot.target.shape))
            slot.target = None
