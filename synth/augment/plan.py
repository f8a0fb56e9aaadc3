"""Plans: which operation is applied to which samples, with which parameters, in plain numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from synth.augment.keys import Draws, noise_key, unit
from synth.augment.operation import Meta, SampleOperation
from synth.augment.region import Region
from synth.augment.samples import Samples
from synth.augment.specification import Group, Specification, Step
from synth.errors import UsageError


@dataclass(frozen=True, eq=False)
class Inside:
    """A region of each sample, and the keys, int64 [n], that choose objects of it."""

    region: Region
    keys: np.ndarray

    def of(self, rows: np.ndarray) -> Inside:
        """Those of some samples."""
        return self if len(rows) == len(self.keys) else Inside(self.region, self.keys[rows])


@dataclass(frozen=True, eq=False)
class Application:
    """One operation on the samples of ``rows``, int64 [n] ascending, with parameters [n, ...]."""

    operation: SampleOperation
    rows: np.ndarray
    parameters: Mapping[str, np.ndarray]
    inside: Inside | None = None

    def apply(self, samples: Samples) -> Samples:
        """The samples of ``rows`` after it; within a region, the rest of the image stays."""
        changed = self.operation.apply(samples, self.parameters)
        if self.inside is None:
            return changed
        shown = self.inside.region.inside(samples, self.inside.keys)[:, None]
        return replace(samples, images=torch.where(shown, changed.images, samples.images))


_KEY = 2
"""Words of a region's key, the last ones of its group."""
Plan = list[Application]
Record = list[dict[str, Any]]
"""Of one sample: ``{"id": ..., "parameters": {...}}`` for each operation that is applied to it, in order.

One within a region has the key that chose its objects, ``within``, besides.
"""


def words_wanted(steps: Sequence[Step]) -> dict[str, int]:
    """Random words by id: each step takes one for whether it is applied, and those of its own."""
    wanted: dict[str, int] = {}
    for step in steps:
        if isinstance(step, Group):
            own = {"one_of": 1, "some_of": 1 + len(step.steps), "sequence": 0}[step.kind]
            region = 0 if step.within is None else _KEY
            wanted |= {step.id: 1 + own + region, **words_wanted(step.steps)}
        else:
            wanted[step.id] = 1 + step.words
    return wanted


def make_plan(specification: Specification, draws: Draws, count: int, meta: Meta) -> Plan:
    """What is done to ``count`` samples of one shape; raises ConfigError where a crop does not fit."""
    plan: Plan = []
    _plan_steps(specification.sample, np.ones(count, dtype=bool), draws, meta, plan)
    return plan


def records(plan: Plan, count: int) -> list[Record]:
    """The plan of each sample, ready for JSON."""
    found: list[Record] = [[] for _ in range(count)]
    for one in plan:
        names = list(one.parameters)
        columns = [one.parameters[name].tolist() for name in names]
        for place, row in enumerate(one.rows.tolist()):
            values = {name: column[place] for name, column in zip(names, columns, strict=True)}
            entry: dict[str, Any] = {"id": one.operation.id, "parameters": values}
            if one.inside is not None:
                entry["within"] = int(one.inside.keys[place])
            found[row].append(entry)
    return found


def plan_of(specification: Specification, found: Sequence[Record]) -> Plan:
    """The plan that these records, one for each sample, were made of.

    Raises UsageError for records of another pipeline.
    """
    plan: Plan = []
    try:
        by_row = [{entry["id"]: entry for entry in record} for record in found]
        unknown = {name for row in by_row for name in row} - {step.id for step in specification.operations()}
        if unknown:
            raise UsageError(f"The record is of another pipeline: {sorted(unknown)} are not in this one.")
        for operation in specification.operations():
            rows = [row for row, entries in enumerate(by_row) if operation.id in entries]
            if rows:
                entries = [by_row[row][operation.id] for row in rows]
                parameters = {
                    name: np.asarray([entry["parameters"][name] for entry in entries])
                    for name in entries[0]["parameters"]
                }
                region = specification.regions.get(operation.id)
                inside = None
                if region is not None:
                    inside = Inside(region, np.asarray([entry["within"] for entry in entries], np.int64))
                plan.append(Application(operation, np.asarray(rows, dtype=np.int64), parameters, inside))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"The record is no plan of a sample ({json.dumps(str(error))}).") from None
    return plan


def _plan_steps(
    steps: Sequence[Step],
    chosen: np.ndarray,
    draws: Draws,
    meta: Meta,
    plan: Plan,
    inside: Inside | None = None,
) -> Meta:
    for step in steps:
        words = draws.of(step.id)
        rows = chosen & (unit(words[:, 0]) < step.probability)
        if isinstance(step, Group):
            meta = _plan_group(step, rows, words[:, 1:], draws, meta, plan, inside)
            continue
        size = step.output_size(meta.size)
        places = np.flatnonzero(rows)
        if len(places):
            own = words[:, 1:] if len(places) == len(words) else words[places, 1:]
            parameters = step.plan(own, meta)
            plan.append(Application(step, places, parameters, None if inside is None else inside.of(places)))
        meta = Meta(size, meta.channels)
    return meta


def _plan_group(
    group: Group,
    rows: np.ndarray,
    words: np.ndarray,
    draws: Draws,
    meta: Meta,
    plan: Plan,
    inside: Inside | None,
) -> Meta:
    if group.within is not None:
        inside = Inside(group.within, noise_key(words[:, -_KEY:]))
        words = words[:, :-_KEY]
    if group.kind == "sequence":
        return _plan_steps(group.steps, rows, draws, meta, plan, inside)
    count = len(group.steps)
    if group.kind == "one_of":
        choice = np.minimum((unit(words[:, 0]) * count).astype(np.int64), count - 1)
        among = choice[:, None] == np.arange(count)
    else:
        least, most = group.count
        size = least + np.minimum((unit(words[:, 0]) * (most - least + 1)).astype(np.int64), most - least)
        order = np.argsort(np.argsort(words[:, 1:], axis=1, kind="stable"), axis=1, kind="stable")
        among = order < size[:, None]
    for place, step in enumerate(group.steps):
        _plan_steps((step,), rows & among[:, place], draws, meta, plan, inside)
    return meta
