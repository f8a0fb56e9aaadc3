"""How a classifier stands up to adversarial images: accuracies, and whether they can be believed."""

from synth.evaluation.robustness.measure import Adversary, measure_robustness
from synth.evaluation.robustness.model import Check, Robustness, UnderAttack
from synth.evaluation.robustness.saving import save_robustness, to_markdown

__all__ = [
    "Adversary",
    "Check",
    "Robustness",
    "UnderAttack",
    "measure_robustness",
    "save_robustness",
    "to_markdown",
]
