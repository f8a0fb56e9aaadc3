"""What no pipeline may do, checked before it meets a sample."""

from __future__ import annotations

from synth.augment.specification import Group, Specification, Step, walk
from synth.errors import ConfigError
from synth.text import some


def check(found: Specification) -> None:
    """Raises ConfigError for what the functions below find, each of one kind."""
    _ids(found)
    check_chiral(found)
    _sizes(found.sample, inside=None)
    _regions(found)


def _ids(found: Specification) -> None:
    seen: set[str] = set()
    for step in (*walk(found.sample), *found.batch):
        if step.id in seen:
            raise ConfigError(
                f"Two steps have the id {step.id!r}, which decides their random numbers: give "
                "one an 'id' of its own."
            )
        seen.add(step.id)


def check_chiral(found: Specification, size: tuple[int, int] | None = None) -> None:
    """Raise ConfigError where there are chiral classes, and an operation mirrors images of that size."""
    for step in found.operations() if found.chiral else ():
        allowed = getattr(step, "allow_chiral", False)
        if step.mirrors_at(size) and step.probability > 0 and not allowed:
            raise ConfigError(
                f"{step.id} mirrors images, and the classes {some(found.chiral)} are declared chiral: leave "
                "it out, or say 'allow_chiral: true'."
            )
        size = None if size is None else step.output_size(size)


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


def _regions(found: Specification) -> None:
    for group in walk(found.sample):
        if not isinstance(group, Group) or group.within is None:
            continue
        for step in walk(group.steps):
            if isinstance(step, Group):
                if step.within is not None:
                    raise ConfigError(f"{step.id} lies in {group.id}: only one of them may have 'within'.")
            elif "objects" in step.needs:
                raise ConfigError(f"{step.id} takes objects itself: put it outside of the group {group.id}.")
            elif step.geometry != "none" or not step.carries >= {"boxes", "masks"}:
                raise ConfigError(
                    f"{step.id} does more than change pixels where they are, so it cannot be done 'within' a "
                    "part of an image. Put it outside of that group."
                )
