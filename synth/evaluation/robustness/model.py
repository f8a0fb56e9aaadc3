"""The report as data."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from synth.evaluation.figures import Estimate
from synth.evaluation.robustness.radius import radius_text

SCHEMA = 1
AttackName = Literal["fgsm", "pgd", "rays", "worst"]


class UnderAttack(BaseModel):
    """How often a classifier is right on images that one attack, or all of them (``worst``), changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attack: AttackName
    eps: float
    """Radius in pixels of 0 to 1."""
    effective_eps: float
    """What uint8 images use of it: for linf, whole levels of 1/255."""
    accuracy: Estimate
    per_class: dict[str, float]

    @property
    def name(self) -> str:
        """As limits write it: ``pgd@0.3``, ``pgd@8/255``."""
        return f"{self.attack}@{radius_text(self.eps)}"

    @property
    def radius(self) -> str:
        """For people: what is used of it besides, where that is less."""
        text = radius_text(self.eps)
        if self.effective_eps == self.eps:
            return text
        return f"{text} ({radius_text(self.effective_eps)} in whole levels)"


class Check(BaseModel):
    """Something that holds of every network that does not mask its gradients, which makes attacks fail and
    not the network robust (Athalye et al., arXiv 1802.00420; Carlini et al., arXiv 1902.06705)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    passed: bool
    about: str
    """What was compared, with the figures."""


class Robustness(BaseModel):
    """The report on one classifier and one source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["synth-robustness"] = "synth-robustness"
    schema_version: int = SCHEMA
    model: str
    digest: str
    source: str
    count: int
    norm: Literal["linf", "l2"]
    steps: int
    restarts: int
    queries: int
    seed: int
    clean: Estimate
    clean_per_class: dict[str, float]
    attacks: list[UnderAttack]
    checks: list[Check]

    def figures(self) -> dict[str, float]:
        """By the names that limits have: ``clean``, ``pgd@0.3``, ``worst@0.3`` and so on, and ``checks``, the
        share of the checks that are passed."""
        found = {"clean": self.clean.value}
        found |= {one.name: one.accuracy.value for one in self.attacks}
        return {**found, "checks": sum(check.passed for check in self.checks) / len(self.checks)}
