"""The table of kinds of jobs: the one place where a new kind is added.

Each entry names, as ``module:attribute`` and imported only when used:

    body   the pydantic type of the request, a JobBody
    run    ``(task: Task) -> Mapping``: does the work in the worker and returns the job's result
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from synth.errors import NotFoundError
from synth.text import closest


@dataclass(frozen=True)
class Kind:
    """One kind of job; the attributes are import paths, see the module's docstring."""

    name: str
    summary: str
    body: str
    run: str

    def load(self, part: str) -> Any:
        """Import one part: ``body`` or ``run``."""
        module_name, attribute = str(getattr(self, part)).split(":")
        return getattr(importlib.import_module(module_name), attribute)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="generate",
            summary="a labelled data set from a trained model",
            body="synth.jobs.dataset_bodies:GenerateBody",
            run="synth.jobs.generate:run",
        ),
        Kind(
            name="translate",
            summary="a labelled data set made from a built-in one, or from one made by a job",
            body="synth.jobs.dataset_bodies:TranslateBody",
            run="synth.jobs.translate:run",
        ),
        Kind(
            name="augment",
            summary="a data set of changed copies of a built-in one, or of one made by a job",
            body="synth.jobs.augment_body:AugmentBody",
            run="synth.jobs.augment:run",
        ),
        Kind(
            name="train",
            summary="a generator trained on a built-in data set, or on one made by a job",
            body="synth.jobs.train_body:TrainBody",
            run="synth.jobs.train:run",
        ),
        Kind(
            name="evaluate",
            summary="a report on what synthetic images are worth",
            body="synth.jobs.evaluate_body:EvaluateBody",
            run="synth.jobs.evaluate:run",
        ),
    )
}

DATASET_KINDS = frozenset({"generate", "translate", "augment"})
"""Those that make a data set, in ``JobFolder.dataset``."""


def get_kind(name: str) -> Kind:
    """The kind of that name, or NotFoundError with the names that exist."""
    try:
        return KINDS[name]
    except KeyError:
        raise NotFoundError(
            f"There is no kind of job {name!r}{closest(name, KINDS)}. Kinds: {', '.join(KINDS)}."
        ) from None
