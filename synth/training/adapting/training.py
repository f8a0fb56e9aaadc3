"""How each model of an adaptation is trained: by the same store, runs and device, and from the same files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synth.artifacts import Artifact
from synth.training.adapting.domains import DomainPair
from synth.training.fitting import fit
from synth.training.recipe import Recipe
from synth.training.reporter import Reporter
from synth.training.runs import has_run

if TYPE_CHECKING:
    from synth.training.adapting.adapt import Adaptation


def train(
    family: str,
    suffix: str,
    learnt_from: str | Path,
    pair: DomainPair,
    recipe: Recipe,
    wanted: Adaptation,
    tell: Reporter,
) -> Artifact:
    """Train ``NAME-suffix`` from images of the source, as they are or translated, and those of the target."""
    name = f"{wanted.name}-{suffix}"
    return fit(
        family,
        learnt_from,
        recipe,
        name=name,
        target=pair.target_spec,
        store=wanted.store,
        runs=wanted.runs,
        resume=wanted.resume and has_run(name, wanted.runs),
        device=wanted.device,
        skip_unreadable=pair.skip_unreadable,
        reporter=tell,
    )
