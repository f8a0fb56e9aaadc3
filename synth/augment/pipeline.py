"""A pipeline: a specification and a seed, that turn samples into augmented ones, in batches of any size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synth.artifacts import Store
from synth.augment.boxes import belonging
from synth.augment.checks import checked
from synth.augment.keys import Draws, Layout, epoch_key, sample_words
from synth.augment.mixing import (
    Mix,
    Partners,
    entry_of,
    mix_of,
    mixable,
    mixed,
    mixing_words,
    plan_mixing,
    together,
    usable,
)
from synth.augment.operation import Meta
from synth.augment.plan import Plan, make_plan, part_of, words_wanted
from synth.augment.reading import read_specification
from synth.augment.recording import Entries, Record, plan_of, records, sorted_out
from synth.augment.samples import Samples
from synth.augment.specification import Specification
from synth.augment.unfit import refuse_unfit
from synth.randomness import check_seed

_CHUNK = 2**18
"""Values that are worked on at once: so many in floating point stay in a processor's cache."""
_BUCKET = 32
"""Images that are worked on at once at least where there is a model, which is run on so many together."""

Check = Callable[[], None] | None


@dataclass(frozen=True)
class Pipeline:
    """What becomes of a sample follows from the specification, the seed, its id and the epoch alone.

    ``run`` is ``plan`` and ``apply``: the plan draws, and applying it does not.
    """

    specification: Specification
    seed: int = 0
    _layout: Layout = field(init=False, repr=False, compare=False)
    bucket: int = field(init=False, repr=False, compare=False)
    """Images that are worked on at once at least: what gives fewer at a time wastes work."""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        object.__setattr__(self, "_layout", Layout(words_wanted(self.specification.sample)))
        models = any("model" in step.needs for step in self.specification.operations())
        object.__setattr__(self, "bucket", _BUCKET if models else 1)

    @staticmethod
    def read(
        content: str | Path | Mapping[str, Any], *, seed: int = 0, store: Store | None = None
    ) -> Pipeline:
        """See ``synth.augment.read_specification``."""
        return Pipeline(read_specification(content, store=store), seed)

    def plan(self, samples: Samples, epoch: int = 0) -> Plan:
        """What ``run`` does to these samples, before they are mixed."""
        draws = Draws(epoch_key(self.seed, epoch), sample_words(samples.ids), self._layout)
        return make_plan(self.specification, draws, len(samples), _meta(samples))

    def run(
        self,
        samples: Samples,
        epoch: int = 0,
        partners: Partners | None = None,
        *,
        check: Check = None,
    ) -> Samples:
        """The samples augmented; those given are not changed.

        Where the specification has a stage ``batch``, it mixes them with augmented ones of ``partners``,
        and labels become float32 [N, K]. ``check`` is called before each operation of the stage ``sample``,
        and may raise what ends the work.

        Raises:
            SourceError: images, boxes, masks or points that cannot be used, see ``checked``; partners that
                do not fit, or a data set of one.
            UsageError: an id or epoch that is none; no partners where they are needed.
            ConfigError: a crop that does not fit.
        """
        refuse_unfit(self.specification, samples)
        if not self.specification.batch:
            return self._sampled(samples, epoch, check)
        partners = usable(partners)
        made = mixable(self._sampled(samples, epoch, check), partners.classes)
        for one in self._mixing(made, epoch, partners):
            others = [self._others(each, epoch, partners, check) for each in one.partners.T]
            made = mixed(made, one, others)
        return self._without_hidden(made)

    def _others(self, places: np.ndarray, epoch: int, partners: Partners, check: Check) -> Samples:
        found = [partners.sample(place) for place in places.tolist()]
        for part in found:
            refuse_unfit(self.specification, part)
        if len({part.images.shape for part in found}) == 1:
            others = self._sampled(Samples.concatenate(found), epoch, check)
        else:
            others = together([self._sampled(part, epoch, check) for part in found])
        return mixable(others, partners.classes)

    def _sampled(self, samples: Samples, epoch: int, check: Check) -> Samples:
        samples = checked(samples)
        count, *shape = samples.images.shape
        plan = self.plan(samples, epoch)
        step = max(self.bucket, _CHUNK // math.prod(shape))
        on_cpu = samples.images.device.type == "cpu"
        if count <= step or not on_cpu or all(one.operation.in_bytes for one in plan):
            return self.apply(samples, plan, check=check)
        parts = [
            self.apply(samples.part(slice(at, at + step)), part_of(plan, at, at + step), check=check)
            for at in range(0, count, step)
        ]
        return Samples.concatenate(parts)

    def record(self, samples: Samples, epoch: int = 0, partners: Partners | None = None) -> list[Record]:
        """The plan of each sample as JSON, which ``replay`` takes. That of a mix holds its partner's."""
        refuse_unfit(self.specification, samples)
        samples = checked(samples)
        plan = self.plan(samples, epoch)
        found = records(plan, len(samples))
        if self.specification.batch:
            partners = usable(partners)
            for one in self._mixing(self.apply(samples, plan), epoch, partners):
                for at, row in enumerate(one.rows.tolist()):
                    others = [partners.sample(place) for place in one.partners[at].tolist()]
                    plans = [records(self.plan(other, epoch), 1)[0] for other in others]
                    found[row].append(entry_of(one, at, plans))
        return found

    def replay(self, samples: Samples, found: Sequence[Record], partners: Partners | None = None) -> Samples:
        """The samples as these records, one for each, say; nothing is drawn.

        Raises UsageError for what ``record`` cannot have made of these samples, besides what ``run`` raises.
        """
        refuse_unfit(self.specification, samples)
        entries = sorted_out(found, len(samples))
        mixes = {step: entries.pop(step.id, {}) for step in self.specification.batch}
        made = self._again(samples, entries)
        if not mixes:
            return made
        partners = usable(partners)
        made = mixable(made, partners.classes)
        for step, mix in mixes.items():
            if not mix:
                continue
            one, plans = mix_of(step, mix, _meta(made), partners)
            others = [
                together([self._again(partners.sample(at), sorted_out([plan], 1)) for at, plan in each])
                for each in plans
            ]
            made = mixed(made, one, [mixable(part, partners.classes) for part in others])
        return self._without_hidden(made)

    def _again(self, samples: Samples, entries: Mapping[str, Entries]) -> Samples:
        plan = plan_of(self.specification, entries, _meta(samples), len(samples))
        return self.apply(checked(samples), plan)

    def _mixing(self, made: Samples, epoch: int, partners: Partners) -> list[Mix]:
        steps = self.specification.batch
        draws = Draws(epoch_key(self.seed, epoch), sample_words(made.ids), Layout(mixing_words(steps)))
        return plan_mixing(steps, draws, made.ids, _meta(made), partners)

    def apply(self, samples: Samples, plan: Plan, *, check: Check = None) -> Samples:
        """The samples as ``plan`` says, which was made for them; they are not checked again."""
        for one in plan:
            if check is not None:
                check()
            if len(one.rows) == len(samples):
                samples = one.apply(samples)
            else:
                rows = torch.from_numpy(one.rows)
                samples = samples.with_rows(rows, one.apply(samples.take(rows)))
        return self._without_hidden(samples)

    def _without_hidden(self, samples: Samples) -> Samples:
        boxes, points = samples.boxes, samples.points
        if boxes is None or bool((keep := self.specification.boxes.kept(boxes)).all()):
            return samples
        kept, hidden = boxes.select(keep), boxes.select(~keep)
        if points is not None and points.objects is not None and boxes.objects is not None:
            points = points.select(~belonging(points, hidden) | belonging(points, kept))
        return replace(samples, boxes=kept, points=points)


def _meta(samples: Samples) -> Meta:
    return Meta(samples.size, samples.images.shape[1])
