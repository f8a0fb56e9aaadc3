"""A classifier for a domain without labels: several ways to it, trained alike and compared."""

from synth.training.adapting.adapt import METHODS, Adaptation, adapt
from synth.training.adapting.comparison import Comparison, Outcome

__all__ = ["METHODS", "Adaptation", "Comparison", "Outcome", "adapt"]
