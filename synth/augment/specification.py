"""What a specification is once it has been read: a tree of operations, and its canonical form."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from synth.augment.box_policy import BoxFilter
from synth.augment.operation import ALL, MixingOperation, Operation, SampleOperation, Target
from synth.augment.region import Region

Kind = Literal["one_of", "some_of", "sequence"]
KINDS: tuple[Kind, ...] = ("one_of", "some_of", "sequence")


@dataclass(frozen=True)
class Group:
    """Several steps: one of them, some of them (in their order), or all."""

    kind: Kind
    id: str
    probability: float
    steps: tuple[Step, ...]
    count: tuple[int, int] = (1, 1)
    """Least and most of ``some_of``."""
    within: Region | None = None
    """Where alone its steps show."""


Step = SampleOperation | Group


@dataclass(frozen=True)
class Specification:
    """A checked specification.

    Attributes:
        sample: what is done to each sample, in this order.
        chiral: names of classes whose mirror images belong to others.
        boxes: which boxes are dropped in the end.
        batch: what mixes samples with partners, after that.
    """

    sample: tuple[Step, ...]
    chiral: tuple[str, ...] = ()
    boxes: BoxFilter = field(default_factory=BoxFilter)
    batch: tuple[MixingOperation, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON, with every default and version filled in; reading it gives an equal specification."""
        return {
            "version": 1,
            "chiral": list(self.chiral),
            "min_visible": self.boxes.min_visible,
            # Left out where they are not asked for, so that digests of before stay.
            **{name: value for name in ("min_area", "min_side") if (value := getattr(self.boxes, name))},
            "sample": [_plain(step) for step in self.sample],
            **({"batch": [_plain(step) for step in self.batch]} if self.batch else {}),
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON: equal digests make equal samples of equal ones."""
        text = json.dumps(self.plain(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def always(self) -> frozenset[str]:
        """The ids of the operations of ``sample`` that are applied to every sample."""
        return frozenset(_always(self.sample))

    @cached_property
    def unfit(self) -> dict[Target, str]:
        """By what samples may have and an operation would leave wrong, the id of the first such operation."""
        steps = [step for step in (*self.operations(), *self.batch) if step.probability > 0]
        wrong: dict[Target, str] = {}
        for step in steps:
            wrong = {**dict.fromkeys(ALL - step.carries, step.id), **wrong}
        return wrong

    @cached_property
    def on_objects(self) -> str | None:
        """The id of the first operation that takes objects by their pixels, or is done within such."""
        for step in (*self.operations(), *self.batch):
            if "objects" in step.needs or step.id in self.regions:
                return step.id
        return None

    @cached_property
    def on_labels(self) -> str | None:
        """The id of the first operation that cannot do without the class of each image."""
        steps = (*self.operations(), *self.batch)
        return next((step.id for step in steps if step.needs_labels and step.probability > 0), None)

    @cached_property
    def mask_fill(self) -> tuple[int, str]:
        """The greatest class that an operation fills masks with, and the id of that operation."""
        fills = [(int(getattr(step, "mask_fill", 0)), step.id) for step in (*self.operations(), *self.batch)]
        return max(fills, default=(0, ""), key=lambda one: one[0])

    @cached_property
    def regions(self) -> dict[str, Region]:
        """By the id of an operation, where alone it shows."""
        return {
            step.id: group.within
            for group in walk(self.sample)
            if isinstance(group, Group) and group.within is not None
            for step in walk(group.steps)
            if isinstance(step, SampleOperation)
        }

    def operations(self) -> Iterator[SampleOperation]:
        """All operations of ``sample`` in order, those within groups too."""
        for step in walk(self.sample):
            if isinstance(step, SampleOperation):
                yield step

    def sizes(self, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """Height and width after it, and of the largest image on the way.

        Raises ConfigError where a crop does not fit.
        """
        largest = size
        for step in (*self.operations(), *self.batch):
            largest = max(largest, step.working_size(size), key=math.prod)
            size = step.output_size(size)
        return size, largest


def walk(steps: tuple[Step, ...]) -> Iterator[Step]:
    """All steps in order, each group before what is in it."""
    for step in steps:
        yield step
        if isinstance(step, Group):
            yield from walk(step.steps)


def _always(steps: tuple[Step, ...]) -> Iterator[str]:
    for step in steps:
        if step.probability < 1:
            continue
        if isinstance(step, SampleOperation):
            yield step.id
        elif step.kind == "sequence":
            yield from _always(step.steps)


def _plain(step: Operation | Group) -> dict[str, Any]:
    if isinstance(step, Operation):
        return {"operation": f"{step.name}@{step.version}", **step.model_dump(mode="json")}
    plain: dict[str, Any] = {"id": step.id, "probability": step.probability}
    plain[step.kind] = [_plain(inner) for inner in step.steps]
    if step.kind == "some_of":
        plain["count"] = list(step.count)
    # Left out where there is none, so that digests of before stay.
    return plain if step.within is None else {**plain, "within": step.within.plain()}
