"""An order: what a client asks for, found good, with a model to make it and memory to hold it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from starlette.types import Scope
from torch import Tensor

from synth.artifacts import Artifact
from synth.batch import Batch, Mode
from synth.labels import Labels
from synth.sampling.generator import Value
from synth.sampling.planner import Planner
from synth.sampling.rows import Shape, Work
from synth.serving.authentication import ANONYMOUS, client_of
from synth.serving.forms import Form
from synth.serving.problems import TooLargeError
from synth.serving.settings import ServerSettings

_PLANNED_INLINE = 512
"""Samples: the keys and labels of more take longer than to hand them to a thread."""
_BYTES_OF_SHARE, _BYTES_OF_TOLD_SHARE = 4, 80
"""Of one class's share of one image: as a number, and with the object and the texts that are made of it."""


@dataclass(frozen=True)
class Order:
    """What is asked for, as it was asked for."""

    model: str | None
    count: int
    labels: Labels | None = "any"
    seed: int = 0
    start: int = 0
    mode: Mode = "fast"
    parameters: Mapping[str, Value] = field(default_factory=dict)
    images: Tensor | None = None
    """uint8 [count, C, H, W] to translate; None: to generate."""

    async def plan(self, sampler: Planner) -> tuple[Work, Batch]:
        """The work, and all of its result but the pixels, which are on the device ``meta``.

        Raises what ``Planner.plan`` raises.
        """
        if self.count <= _PLANNED_INLINE:
            work = self._plan(sampler)
        else:
            work = await asyncio.to_thread(self._plan, sampler)
        image = sampler.card.image
        size = (len(work), *(work.rows.shape or (image.channels, image.height, image.width)))
        return work, sampler.batch(work, torch.empty(size, dtype=torch.uint8, device="meta"))

    def _plan(self, sampler: Planner) -> Work:
        return sampler.plan(
            self.count if self.images is None else None,
            labels=self.labels,
            seed=self.seed,
            start=self.start,
            mode=self.mode,
            images=self.images,
            parameters=self.parameters,
        )


def check_count(count: int, settings: ServerSettings) -> None:
    """Raise TooLargeError if one request may not have so many images."""
    limit = settings.max_images_per_request
    if count > limit:
        raise TooLargeError(
            f"{count:,} images were asked for, and one request may have {limit:,}. Ask in several requests "
            f"with one seed and start 0, {limit}, {2 * limit}, ...: together they are the same images. Or "
            "make it a job: POST /v1/jobs."
        )


def memory_of(
    count: int, artifact: Artifact, form: Form, settings: ServerSettings, shape: Shape | None = None
) -> int:
    """Bytes of memory that the answer takes at the most; TooLargeError if that can never be had.

    ``shape``: of the images, where it is not the model's.
    """
    image = artifact.manifest.image
    each = math.prod(shape or (image.channels, image.height, image.width))
    fitting = min(settings.max_response_bytes // each, settings.max_bytes_in_flight // form.memory(each))
    if count > fitting:
        remedy = (
            f"Ask for {fitting:,} at a time, going on with start, or make it a job: POST /v1/jobs."
            if fitting
            else "The server needs a higher SYNTH_MAX_RESPONSE_BYTES or SYNTH_MAX_BYTES_IN_FLIGHT for it."
        )
        raise TooLargeError(
            f"{count:,} images of {each:,} bytes as {form.name} are more than one answer may have. {remedy}"
        )
    return count * form.memory(each)


def memory_of_all(
    sizes: Sequence[int],
    form: Form,
    settings: ServerSettings,
    remedy: str = "Send fewer at a time, going on with start, or smaller ones.",
    *,
    shares: int = 0,
) -> int:
    """``memory_of`` for images of several sizes, in raw bytes each, with shares of so many classes each."""
    raw = sum(sizes) + len(sizes) * shares * _BYTES_OF_SHARE
    needed = sum(map(form.memory, sizes)) + len(sizes) * shares * _BYTES_OF_TOLD_SHARE
    if raw > settings.max_response_bytes or needed > settings.max_bytes_in_flight:
        classes = f" with shares of {shares:,} classes" if shares else ""
        raise TooLargeError(
            f"{len(sizes):,} images{classes} of {raw:,} bytes together as {form.name} are more than one "
            f"answer may have. {remedy}"
        )
    return needed


def turn_of(scope: Scope) -> str:
    """Among whom the engine takes turns: keys, or addresses where nobody is asked for a key."""
    client = client_of(scope)
    if client != ANONYMOUS:
        return client
    address = scope.get("client")
    return ANONYMOUS if address is None else f"{ANONYMOUS} {address[0]}"
