"""What a data set shall hold, and how it divides into shards."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from synth.batch import Mode, Parameters
from synth.data.encode import PNG, Encoding
from synth.errors import UsageError
from synth.families import require_generator
from synth.labels import Label, Labels, normalise_labels, resolve_labels
from synth.randomness import MAX_INDEX, check_seed

if TYPE_CHECKING:
    from synth.artifacts import ModelCard

SHARD_SIZE = 1_000


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the plans of all data sets have in common.

    Attributes:
        model: reference with version, ``NAME@3``.
        digest: digest of the generator, which decides the pixels; the reference is for people.
        classes: the generator's class names, which ``labels`` are resolved in.
        count: samples, from 1.
        labels: see ``synth.labels``.
        seed, start: the samples' keys are (seed, start) to (seed, start + count - 1).
        mode: ``fast`` or ``exact``.
        parameters: sampling parameters that differ from the generator's defaults.
        format: a name of ``synth.data.writers.FORMATS``.
        shard_size: samples per shard, from 1; the last may have fewer.
        encoding: of the images, in formats that hold image files.
    """

    model: str
    digest: str
    classes: tuple[str, ...] | None
    count: int
    labels: str | int | Mapping[str, int] | Sequence[Label] = "any"
    seed: int = 0
    start: int = 0
    mode: Mode = "fast"
    parameters: Parameters = field(default_factory=dict)
    format: str = "imagefolder"
    shard_size: int = SHARD_SIZE
    encoding: Encoding = PNG

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for name, least in (("count", 1), ("start", 0), ("shard_size", 1)):
            _check_integer(name, getattr(self, name), least)
        if self.start + self.count > MAX_INDEX:
            raise UsageError(
                f"start {self.start} plus count {self.count} goes past the last index, 2**63 - 1."
            )
        if self.mode not in ("fast", "exact"):
            raise UsageError(f"There is no mode {self.mode!r}; use fast or exact.")

    def as_dict(self) -> dict[str, Any]:
        """The request ready for JSON; equal plans give equal dictionaries."""
        labels = self.labels
        if isinstance(labels, Mapping):
            # As text, since the order of the classes counts and JSON objects have none.
            labels = ",".join(f"{name}={count}" for name, count in labels.items())
        request = {
            "model": self.model,
            "digest": self.digest,
            "count": self.count,
            "labels": labels if isinstance(labels, (str, int)) else list(labels),
            "seed": self.seed,
            "start": self.start,
            "mode": self.mode,
            "parameters": dict(sorted(self.parameters.items())),
            "format": self.format,
            "shard_size": self.shard_size,
        }
        if self.encoding.format != "png":
            request |= {"image_format": self.encoding.format, "quality": self.encoding.quality}
        return request


@dataclass(frozen=True, kw_only=True)
class Plan(Request):
    """A whole data set of generated images: equal plans make equal data sets."""


@dataclass(frozen=True)
class Shard:
    """Samples ``start`` to ``start + count - 1`` of a plan.

    Attributes:
        number: place among the shards, from 0.
        labels: class number of each sample, or "any" where the generator draws them by key.
    """

    number: int
    start: int
    count: int
    labels: list[int] | str


def make_plan(card: ModelCard, count: int, *, labels: Labels = "any", **request: Any) -> Plan:
    """The plan of a request to the generator of this card; ``request`` takes the other fields of Plan.

    Raises:
        UsageError: the model makes nothing from nothing, or a value is out of range.
        LabelError: the labels cannot be read.
    """
    require_generator(card.family, card.reference)
    return Plan(
        model=card.reference,
        digest=card.digest,
        classes=card.classes,
        count=count,
        labels=normalise_labels(labels),
        **request,
    )


def shards(plan: Request) -> Iterator[Shard]:
    """All shards in order; labels are resolved once, over the whole request.

    Raises:
        LabelError: at once, when the labels do not fit the classes or the count.
    """
    # "any" needs the class proportions of the training data, which only the generator knows.
    numbers = None if plan.labels == "any" else _class_numbers(plan)
    return _slices(plan, numbers)


def shard_count(plan: Request) -> int:
    """The number of shards."""
    return -(-plan.count // plan.shard_size)


def _class_numbers(plan: Request) -> torch.Tensor | None:
    index = torch.arange(plan.start, plan.start + plan.count, dtype=torch.int64)
    return resolve_labels(plan.labels, classes=plan.classes, index=index, seed=plan.seed)


def _slices(plan: Request, numbers: torch.Tensor | None) -> Iterator[Shard]:
    for number in range(shard_count(plan)):
        first = number * plan.shard_size
        count = min(plan.shard_size, plan.count - first)
        labels = "any" if numbers is None else numbers[first : first + count].tolist()
        yield Shard(number=number, start=plan.start + first, count=count, labels=labels)


def _check_integer(name: str, value: object, least: int) -> None:
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # that it may not be one is the point
    except TypeError:
        raise UsageError(f"{name} must be a whole number, not {value!r}.") from None
    if number < least:
        raise UsageError(f"{name} must be at least {least}, not {number}.")
