"""The answer with augmented images: made part by part, sent in the order of the request."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from typing import Any

import torch
from starlette.types import Scope, Send
from torch import Tensor

from synth.augment import Samples
from synth.batch import Batch
from synth.serving.augment_plan import Augmentation, Part
from synth.serving.delivery import Answer
from synth.serving.forms import Form
from synth.serving.orders import memory_of_all
from synth.serving.services import Services

_REMEDY = "Send fewer at a time, or ask for fewer copies, or let the pipeline crop them."


class AugmentedAnswer(Answer):
    """The images of an augmentation.

    When called, it raises OverloadError, RateError, DeadlineError, TooLargeError, or what ``Pipeline.run``
    raises, before anything is sent.
    """

    def __init__(self, services: Services, work: Augmentation, form: Form, *, deadline: float) -> None:
        """See ``Answer``."""
        super().__init__(services, form, deadline=deadline)
        self._work = work

    async def _deliver(self, scope: Scope, send: Send) -> None:
        services, work = self._services, self._work
        sent = sum(group.samples.images.nbytes for group in work.groups)
        bytes_each = [work.channels * height * width for height, width in work.sizes()]
        size = memory_of_all(bytes_each, self._form, services.settings, _REMEDY, shares=work.shares)
        with ExitStack() as held:
            held.enter_context(services.memory.reserve(sent))
            reserved = held.enter_context(services.memory.reserve(size))
            held.enter_context(services.augmenter.accept())
            whole = work.whole()
            services.rates.take_images(scope, len(whole))
            parts = self._in_order(whole)
            if work.partners is not None:
                # Shares are known only once they are mixed, and stand in the head of some forms.
                made = [part async for part in parts]
                shares = [part.labels for part in made if part.labels is not None]
                whole = replace(whole, labels=torch.cat(shares) if shares else None)
                parts = _again(made)
            await self._send(scope, send, whole, parts, reserved, size)

    async def _in_order(self, whole: Batch) -> AsyncIterator[Batch]:
        """The samples in the order of the request, copy by copy, side by side where they are of one size."""
        work = self._work
        waiting, running = work.parts(), deque[tuple[Part, asyncio.Task[Samples]]]()
        made: dict[int, tuple[Tensor, Tensor | None]] = {}
        next_place = 0
        try:
            while True:
                while len(running) < self._services.augmenter.threads and (part := next(waiting, None)):
                    made_of = self._services.augmenter.run(work, part, deadline=self._deadline)
                    running.append((part, asyncio.create_task(made_of)))
                if not running:
                    return
                part, task = running.popleft()
                try:
                    result = await task
                except asyncio.CancelledError:
                    running.append((part, task))
                    raise
                self._check_deadline()
                base = (part.epoch - work.epoch) * work.count
                made.update((base + place, row) for place, row in _rows(part, result, work.channels))
                ready = []
                while next_place in made:
                    ready.append(made.pop(next_place))
                    next_place += 1
                for batch in _batches(whole, next_place - len(ready), ready):
                    epoch = work.epoch + int(batch.index[0]) // work.count
                    yield replace(batch, parameters={**(whole.parameters or {}), "epoch": epoch})
        finally:
            for _, task in running:
                task.cancel()
            await asyncio.gather(*(task for _, task in running), return_exceptions=True)


def _rows(part: Part, made: Samples, channels: int) -> Iterator[tuple[int, tuple[Tensor, Tensor | None]]]:
    images = made.images
    if images.shape[1] < channels:
        images = images.repeat(1, channels, 1, 1)
    labels: Any = made.labels if made.labels is not None else [None] * len(made)
    return zip(part.places, zip(images, labels, strict=True), strict=True)


def _batches(whole: Batch, first: int, ready: Sequence[tuple[Tensor, Tensor | None]]) -> Iterator[Batch]:
    """Consecutive samples from row ``first`` on, those of one size together."""
    for _, alike in groupby(ready, key=lambda one: one[0].shape):
        rows = list(alike)
        batch = whole.part(first, torch.stack([image for image, _ in rows]))
        labels = [label for _, label in rows if label is not None]
        yield replace(batch, labels=torch.stack(labels) if labels else None)
        first += len(rows)


async def _again(made: Sequence[Batch]) -> AsyncIterator[Batch]:
    for batch in made:
        yield batch
