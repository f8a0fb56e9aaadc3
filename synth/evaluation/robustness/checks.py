"""Whether figures of robustness can be believed: what holds wherever gradients tell the truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from synth.evaluation.robustness.model import Check
from synth.evaluation.robustness.radius import radius_text

_SLACK = 0.01
"""Share of the images by which attacks that draw at random may come out of order."""
_NEARLY_NONE = 0.05


@dataclass(frozen=True)
class Evidence:
    """Accuracies under attack.

    Attributes:
        radii: in rising order.
        accuracies: by attack (fgsm, pgd, rays) and radius.
        fewer_steps: of how many steps, and the accuracy under PGD of so few, at the largest radius.
        steps: of PGD otherwise.
        margin: under PGD of the margin instead of the cross-entropy, at the largest radius.
        everything: under PGD that may change images as it likes.
    """

    radii: tuple[float, ...]
    accuracies: Mapping[tuple[str, float], float]
    fewer_steps: tuple[int, float]
    steps: int
    margin: float
    everything: float


def make_checks(found: Evidence) -> list[Check]:
    """All checks, in the order of the report."""
    return [*_of_radii(found), *_of_attacks(found)]


def _of_radii(found: Evidence) -> Iterator[Check]:
    yield Check(
        name="without a radius nothing is left",
        passed=found.everything <= _NEARLY_NONE,
        about=f"PGD that may change images as it likes leaves {found.everything:.3f}; at most {_NEARLY_NONE}",
    )
    pgd = [found.accuracies["pgd", eps] for eps in found.radii]
    rises = max((after - before for before, after in pairwise(pgd)), default=0.0)
    told = ", ".join(
        f"{value:.3f} at {radius_text(eps)}" for eps, value in zip(found.radii, pgd, strict=True)
    )
    yield Check(name="a larger radius leaves no more", passed=rises <= _SLACK, about=f"PGD leaves {told}")


def _of_attacks(found: Evidence) -> Iterator[Check]:
    largest = found.radii[-1]
    fgsm, pgd, rays = (found.accuracies[name, largest] for name in ("fgsm", "pgd", "rays"))
    fewer, weaker = found.fewer_steps
    at = f"at {radius_text(largest)}"
    yield Check(
        name="many steps leave no more than one",
        passed=pgd <= fgsm + _SLACK,
        about=f"PGD leaves {pgd:.3f}, FGSM {fgsm:.3f} {at}",
    )
    yield Check(
        name="more steps leave no more",
        passed=pgd <= weaker + _SLACK,
        about=f"PGD of {found.steps} steps leaves {pgd:.3f}, of {fewer} {weaker:.3f} {at}",
    )
    yield Check(
        name="decisions alone do not find more than gradients",
        passed=all(
            found.accuracies["pgd", eps] <= found.accuracies["rays", eps] + _SLACK for eps in found.radii
        ),
        about=f"PGD leaves {pgd:.3f}, RayS {rays:.3f} {at}",
    )
    yield Check(
        name="another loss does not find more",
        passed=pgd <= found.margin + 2 * _SLACK,
        about=f"PGD of the cross-entropy leaves {pgd:.3f}, of the margin {found.margin:.3f} {at}",
    )
