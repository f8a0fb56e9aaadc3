"""A pipeline: a specification and a seed, that turn samples into augmented ones, in batches of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from synth.augment.keys import Draws, epoch_key, sample_words
from synth.augment.operation import Meta
from synth.augment.plan import Plan, Record, make_plan, plan_of, records, words_wanted
from synth.augment.samples import Samples, checked
from synth.augment.spec import Specification, read_specification
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
        """See ``synth.augment.spec.read_specification``."""
        return Pipeline(read_specification(content), seed)

    def plan(self, samples: Samples, epoch: int = 0) -> Plan:
        """What ``run`` does to these samples."""
        draws = Draws(epoch_key(self.seed, epoch), sample_words(samples.ids), self._wanted)
        return make_plan(self.specification, draws, len(samples), Meta(samples.size, samples.images.shape[1]))

    def run(self, samples: Samples, epoch: int = 0) -> Samples:
        """The samples augmented; those given are not changed.

        Raises:
            SourceError: images, boxes, masks or points that cannot be used, see ``checked``.
            UsageError: an id or epoch that is none.
            ConfigError: a crop that does not fit.
        """
        samples = checked(samples)
        step = max(1, _CHUNK // samples.images[0].numel())
        if len(samples) <= step:
            return self._applied(samples, self.plan(samples, epoch))
        plans = (samples.part(slice(at, at + step)) for at in range(0, len(samples), step))
        return Samples.concatenate([self._applied(part, self.plan(part, epoch)) for part in plans])

    def record(self, samples: Samples, epoch: int = 0) -> list[Record]:
        """The plan of each sample as JSON, which ``replay`` takes."""
        return records(self.plan(samples, epoch), len(samples))

    def replay(self, samples: Samples, found: Sequence[Record]) -> Samples:
        """The samples as these records, one for each, say; nothing is drawn."""
        return self._applied(checked(samples), plan_of(self.specification, found))

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
