"""A pipeline: a specification and a seed, that turn samples into augmented ones, in batches of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synth.augment.keys import Draws, epoch_key, sample_words
from synth.augment.mixing import (
    Mix,
    Partners,
    check_targets,
    mixed,
    mixing_words,
    plan_mixing,
    soft,
    together,
    usable,
)
from synth.augment.operation import Meta, MixingOperation
from synth.augment.plan import Plan, Record, make_plan, plan_of, records, words_wanted
from synth.augment.reading import read_specification
from synth.augment.samples import Samples, checked
from synth.augment.specification import Specification
from synth.errors import UsageError
from synth.randomness import check_seed

_CHUNK = 2**18
"""Values that are worked on at once: so many in floating point stay in a processor's cache."""


@dataclass(frozen=True)
class Pipeline:
    """What becomes of a sample follows from the specification, the seed, its id and the epoch alone.

    ``run`` is ``plan`` and ``apply``: the plan draws, and applying it does not.
    """

    specification: Specification
    seed: int = 0
    _wanted: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_seed(self.seed)
        object.__setattr__(self, "_wanted", words_wanted(self.specification.sample))

    @staticmethod
    def read(content: str | Path | Mapping[str, Any], *, seed: int = 0) -> Pipeline:
        """See ``synth.augment.read_specification``."""
        return Pipeline(read_specification(content), seed)

    def plan(self, samples: Samples, epoch: int = 0) -> Plan:
        """What ``run`` does to these samples, before they are mixed."""
        draws = Draws(epoch_key(self.seed, epoch), sample_words(samples.ids), self._wanted)
        return make_plan(self.specification, draws, len(samples), Meta(samples.size, samples.images.shape[1]))

    def run(self, samples: Samples, epoch: int = 0, partners: Partners | None = None) -> Samples:
        """The samples augmented; those given are not changed.

        Where the specification has a stage ``batch``, it mixes them with augmented ones of ``partners``,
        and labels become float32 [N, K].

        Raises:
            SourceError: images, boxes, masks or points that cannot be used, see ``checked``; partners that
                do not fit, or a data set of one.
            UsageError: an id or epoch that is none; no partners where they are needed.
            ConfigError: a crop that does not fit.
        """
        if not self.specification.batch:
            return self._sampled(samples, epoch)
        partners = usable(partners)
        check_targets(self.specification.batch, samples)
        made = soft(self._sampled(samples, epoch), partners.classes)
        for one in self._mixing(made, epoch, partners):
            found = [partners.sample(place) for place in one.partners.tolist()]
            if len({part.images.shape for part in found}) == 1:
                others = self._sampled(Samples.concatenate(found), epoch)
            else:
                others = together([self._sampled(part, epoch) for part in found])
            made = mixed(made, one, soft(others, partners.classes))
        return made

    def _sampled(self, samples: Samples, epoch: int) -> Samples:
        samples = checked(samples)
        step = max(1, _CHUNK // samples.images[0].numel())
        if len(samples) <= step:
            return self._applied(samples, self.plan(samples, epoch))
        plans = (samples.part(slice(at, at + step)) for at in range(0, len(samples), step))
        return Samples.concatenate([self._applied(part, self.plan(part, epoch)) for part in plans])

    def record(self, samples: Samples, epoch: int = 0, partners: Partners | None = None) -> list[Record]:
        """The plan of each sample as JSON, which ``replay`` takes. That of a mix holds its partner's."""
        plan = self.plan(samples, epoch)
        found = records(plan, len(samples))
        if self.specification.batch:
            partners = usable(partners)
            for one in self._mixing(self._applied(checked(samples), plan), epoch, partners):
                for at, (row, place) in enumerate(zip(one.rows.tolist(), one.partners.tolist(), strict=True)):
                    values = {name: column[at].tolist() for name, column in one.parameters.items()}
                    entry = {"id": one.operation.id, "parameters": values, "partner": place}
                    (entry["partner_plan"],) = records(self.plan(partners.sample(place), epoch), 1)
                    found[row].append(entry)
        return found

    def replay(self, samples: Samples, found: Sequence[Record], partners: Partners | None = None) -> Samples:
        """The samples as these records, one for each, say; nothing is drawn."""
        mixing = {step.id for step in self.specification.batch}
        if not mixing:
            return self._applied(checked(samples), plan_of(self.specification, found))
        alone = [
            [entry for entry in record if not (isinstance(entry, dict) and entry.get("id") in mixing)]
            for record in found
        ]
        made = self._applied(checked(samples), plan_of(self.specification, alone))
        partners = usable(partners)
        check_targets(self.specification.batch, samples)
        made = soft(made, partners.classes)
        for step in self.specification.batch:
            entries = [
                (r, entry) for r, record in enumerate(found) for entry in record if entry["id"] == step.id
            ]
            if entries:
                made = self._mixed_again(made, step, entries, partners)
        return made

    def _mixed_again(
        self,
        made: Samples,
        step: MixingOperation,
        entries: list[tuple[int, dict[str, Any]]],
        partners: Partners,
    ) -> Samples:
        try:
            rows = np.asarray([row for row, _ in entries], dtype=np.int64)
            places = np.asarray([entry["partner"] for _, entry in entries], dtype=np.int64)
            plans = [plan_of(self.specification, [entry["partner_plan"]]) for _, entry in entries]
            parameters = {
                name: np.asarray([entry["parameters"][name] for _, entry in entries])
                for name in entries[0][1]["parameters"]
            }
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"The record of {step.id} is no plan of a mix ({error!r}).") from None
        if places.min() < 0 or places.max() >= len(partners.ids):
            raise UsageError(f"The record of {step.id} names partners that are not in this data set.")
        others = together(
            [
                self._applied(checked(partners.sample(place)), plan)
                for place, plan in zip(places.tolist(), plans, strict=True)
            ]
        )
        return mixed(made, Mix(step, rows, places, parameters), soft(others, partners.classes))

    def _mixing(self, made: Samples, epoch: int, partners: Partners) -> list[Mix]:
        steps = self.specification.batch
        draws = Draws(epoch_key(self.seed, epoch), sample_words(made.ids), mixing_words(steps))
        return plan_mixing(steps, draws, made.ids, Meta(made.size, made.images.shape[1]), partners)

    def _applied(self, samples: Samples, plan: Plan) -> Samples:
        for one in plan:
            if len(one.rows) == len(samples):
                samples = one.operation.apply(samples, one.parameters)
            else:
                rows = torch.from_numpy(one.rows)
                samples = samples.with_rows(rows, one.operation.apply(samples.take(rows), one.parameters))
        return self._without_hidden(samples)

    def _without_hidden(self, samples: Samples) -> Samples:
        boxes = samples.boxes
        if boxes is None or boxes.visible is None:
            return samples
        area = (boxes.corners[:, 2:] - boxes.corners[:, :2]).clamp(min=0).prod(1)
        keep = (area > 0) & (boxes.visible >= self.specification.min_visible)
        return replace(samples, boxes=boxes.select(keep))
