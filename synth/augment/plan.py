"""Plans: which operation is applied to which samples, with which parameters, in plain numbers.

``synth.augment.recording`` turns them into JSON, and back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from synth.augment.keys import Draws, chances, noise_key, unit
from synth.augment.operation import Meta, SampleOperation
from synth.augment.region import Region
from synth.augment.samples import Samples
from synth.augment.specification import Group, Specification, Step


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
"""Words of a key: that by which a group chooses, its first ones, and that of its region, its last ones."""
Plan = list[Application]


def words_wanted(steps: Sequence[Step]) -> dict[str, int]:
    """Random words by id: each step takes one for whether it is applied, and those of its own.

    One that is always applied and always the same takes none.
    """
    wanted: dict[str, int] = {}
    for step in steps:
        if isinstance(step, Group):
            own = {"one_of": _KEY, "some_of": 1 + _KEY, "sequence": 0}[step.kind]
            region = 0 if step.within is None else _KEY
            wanted |= {step.id: 1 + own + region, **words_wanted(step.steps)}
        else:
            wanted[step.id] = 1 + step.words if step.random or step.probability < 1 else 0
    return wanted


def make_plan(specification: Specification, draws: Draws, count: int, meta: Meta) -> Plan:
    """What is done to ``count`` samples of one shape; raises ConfigError where a crop does not fit."""
    plan: Plan = []
    _plan_steps(specification.sample, None, draws, meta, plan)
    return plan


def part_of(plan: Plan, begin: int, end: int) -> Plan:
    """The plan of some consecutive samples alone."""
    found: Plan = []
    for one in plan:
        first, last = np.searchsorted(one.rows, (begin, end)).tolist()
        if first < last:
            parameters = {name: column[first:last] for name, column in one.parameters.items()}
            inside = one.inside and Inside(one.inside.region, one.inside.keys[first:last])
            found.append(Application(one.operation, one.rows[first:last] - begin, parameters, inside))
    return found


def _plan_steps(
    steps: Sequence[Step],
    chosen: np.ndarray | None,
    draws: Draws,
    meta: Meta,
    plan: Plan,
    inside: Inside | None = None,
) -> Meta:
    """``chosen``: bool [N], or None where all are."""
    for step in steps:
        words = draws.of(step.id)
        rows = chosen
        if step.probability < 1:
            # As ``unit`` of the word against the probability, which is exact in both.
            rows = words[:, 0] >> 8 < step.probability * 2**24
            rows = rows if chosen is None else rows & chosen
        if isinstance(step, Group):
            meta = _plan_group(step, rows, words[:, 1:], draws, meta, plan, inside)
            continue
        places, own = draws.rows, words[:, 1:]
        if rows is not None:
            places = np.flatnonzero(rows)
            own = own[places]
        size = step.output_size(meta.size)
        if len(places):
            within = None if inside is None else inside.of(places)
            plan.append(Application(step, places, step.plan(own, meta), within))
        if size != meta.size:
            meta = Meta(size, meta.channels)
    return meta


def _plan_group(
    group: Group,
    rows: np.ndarray | None,
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
    among = _chosen(group, words)
    for place, step in enumerate(group.steps):
        own = among[:, place] if rows is None else rows & among[:, place]
        _plan_steps((step,), own, draws, meta, plan, inside)
    return meta


def _chosen(group: Group, words: np.ndarray) -> np.ndarray:
    """bool [N, steps]: which steps each sample takes: those of the least chances, one or as many as it draws.

    That is rendezvous hashing (Thaler and Ravishankar, IEEE/ACM Transactions on Networking 1998): the chance
    of a step follows from the group's words and the step's id, so that one that is put into the group changes
    those samples alone that take it.
    """
    found = chances(noise_key(words[:, :_KEY]), tuple(step.id for step in group.steps))
    if group.kind == "one_of":
        return np.asarray(found.argmin(axis=1)[:, None] == np.arange(len(group.steps)))
    least, most = group.count
    size = least + (unit(words[:, _KEY]) * (most - least + 1)).astype(np.int64)
    rank = np.argsort(np.argsort(found, axis=1, kind="stable"), axis=1, kind="stable")
    return np.asarray(rank < size[:, None])
