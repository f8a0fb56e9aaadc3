"""What no pipeline may do, checked before it meets a sample."""

from __future__ import annotations

from synth.augment.specification import Group, Specification, Step, walk
from synth.errors import ConfigError
from synth.text import some


def check(found: Specification) -> None:
    """Raises ConfigError for ids used twice, flips of chiral classes, and sizes that change for some only."""
    _ids(found)
    _flips(found)
    _sizes(found.sample, inside=None)


def _ids(found: Specification) -> None:
    seen: set[str] = set()
    for step in (*walk(found.sample), *found.batch):
        if step.id in seen:
            raise ConfigError(
                f"Two steps have the id {step.id!r}, which decides their random numbers: give "
                "one an 'id' of its own."
            )
        seen.add(step.id)


def _flips(found: Specification) -> None:
    for step in found.operations():
        allowed = getattr(step, "allow_chiral", False)
        if found.chiral and step.mirrors and step.probability > 0 and not allowed:
            raise ConfigError(
                f"{step.id} mirrors images, and the classes {some(found.chiral)} are declared chiral: leave "
                "it out, or say 'allow_chiral: true'."
            )


def _sizes(steps: tuple[Step, ...], inside: Group | None) -> None:
    for step in steps:
        if isinstance(step, Group):
            certain = step.kind == "sequence" and step.probability == 1.0
            _sizes(step.steps, inside or (None if certain else step))
        elif step.geometry == "resizes" and (step.probability < 1.0 or inside is not None):
            raise ConfigError(
                f"{step.id} may change the size of images, so it must be applied to all: give it "
                "probability 1, outside of one_of, some_of and groups with a probability."
            )
