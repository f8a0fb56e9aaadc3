"""Translations of images that differ in size: made by size, several sizes side by side, answered in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch
from starlette.types import Scope, Send
from torch import Tensor

from synth.batch import Batch
from synth.errors import UsageError
from synth.labels import Labels, resolve_labels
from synth.sampling.planner import Planner
from synth.sampling.rows import Work
from synth.serving.delivery import Delivery
from synth.serving.forms import Form
from synth.serving.orders import Order, memory_of_all, turn_of
from synth.serving.services import Services

_AT_ONCE = 16
"""Sizes that wait or run for one request: lanes go by them, and those of all requests take turns."""


@dataclass(frozen=True)
class Group:
    """The images of one size: their places in the request, and the work that they are."""

    places: tuple[int, ...]
    work: Work


def check_form(form: Form, images: Sequence[Tensor]) -> None:
    """Raise UsageError where the answer could not hold translations of such images."""
    sizes = sorted({tuple(image.shape[1:]) for image in images})
    if len(sizes) > 1 and not form.any_size:
        (height, width), (other_height, other_width) = sizes[0], sizes[-1]
        raise UsageError(
            f"The images differ in size, as {height} x {width} and {other_height} x {other_width}, and the "
            f"format {form.name} holds images of one. Ask for tar, json or multipart, or send fit=resize."
        )


def plan_groups(sampler: Planner, order: Order, images: Sequence[Tensor]) -> tuple[list[Group], Batch]:
    """The work by size, in order of first appearance; and all of the result but the pixels.

    ``images``: uint8 [C, H, W] each. Raises what ``Planner.plan`` raises.
    """
    index = torch.arange(order.start, order.start + len(images))
    labels: Tensor | None = None
    classes = sampler.card.classes
    if classes is not None and order.labels is not None:
        labels = resolve_labels(order.labels, classes=classes, index=index, seed=order.seed)
    by_size: dict[tuple[int, ...], list[int]] = {}
    for place, image in enumerate(images):
        by_size.setdefault(tuple(image.shape), []).append(place)
    groups = []
    for places in by_size.values():
        shown: Labels | None = order.labels if labels is None else labels[places]
        work = sampler.plan(
            None,
            labels=shown,
            seed=order.seed,
            start=order.start,
            mode=order.mode,
            images=torch.stack([images[place] for place in places]),
            parameters=order.parameters,
        )
        # A sample depends on its own key alone, so that it may stand beside any others.
        rows = replace(work.rows, index=index[places])
        groups.append(Group(tuple(places), replace(work, rows=rows)))
    pixels = torch.empty((len(images), images[0].shape[0], 0, 0), dtype=torch.uint8, device="meta")
    return groups, replace(sampler.batch(groups[0].work, pixels), labels=labels, index=index)


class MixedDelivery(Delivery):
    """A ``Delivery`` of translations that have the sizes of their images."""

    def __init__(
        self, services: Services, order: Order, form: Form, images: Sequence[Tensor], *, deadline: float
    ) -> None:
        """``images``: uint8 [C, H, W] each; those of ``order`` are left out."""
        super().__init__(services, order, form, deadline=deadline)
        self._images = images

    async def _deliver(self, scope: Scope, send: Send) -> None:
        services = self._services
        with ExitStack() as held:
            sizes = [image.nbytes for image in self._images]
            held.enter_context(services.memory.reserve(sum(sizes)))
            lease = held.enter_context(await services.registry.lease(self._order.model))
            size = memory_of_all(sizes, self._form, services.settings)
            reserved = held.enter_context(services.memory.reserve(size))
            groups, whole = await asyncio.to_thread(plan_groups, lease.sampler, self._order, self._images)
            seconds = sum(services.engine.predict(lease.sampler, group.work) for group in groups)
            services.engine.check(self._deadline, seconds)
            services.rates.take_images(scope, len(whole))
            parts = self._in_order(lease.sampler, groups, whole, turn_of(scope))
            await self._send(scope, send, whole, parts, reserved, size)

    async def _in_order(
        self, sampler: Planner, groups: Sequence[Group], whole: Batch, client: str
    ) -> AsyncIterator[Batch]:
        """The samples one by one, in the order of the request."""

        async def make(group: Group) -> tuple[tuple[int, ...], Tensor]:
            # It was accepted as a whole.
            options = {"client": client, "deadline": self._deadline, "continued": True}
            return group.places, await self._services.engine.submit(sampler, group.work, **options)

        waiting, made = deque(groups), dict[int, Tensor]()
        running: set[asyncio.Task[tuple[tuple[int, ...], Tensor]]] = set()
        try:
            for place in range(len(whole)):
                while place not in made:
                    while waiting and len(running) < _AT_ONCE:
                        running.add(asyncio.create_task(make(waiting.popleft())))
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        places, pixels = task.result()
                        made.update(zip(places, torch.split(pixels, 1), strict=True))
                yield whole.part(place, made.pop(place))
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
