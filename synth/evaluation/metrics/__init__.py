"""Metrics: pure functions from features of real and synthetic images to figures with intervals."""

from synth.evaluation.metrics.copies import CopyDetector, Look
from synth.evaluation.metrics.floor import halves, with_floor
from synth.evaluation.metrics.frechet import frechet_distance, frechet_extrapolated
from synth.evaluation.metrics.kernel import kernel_distance
from synth.evaluation.metrics.manifold import Manifold, manifold
from synth.evaluation.metrics.novelty import Novelty, Pair, novelty
from synth.evaluation.metrics.per_class import per_class
from synth.evaluation.metrics.planted import Power, planted_copy_power
from synth.evaluation.metrics.repetition import duplicates_within
from synth.evaluation.metrics.two_sample import TwoSample, two_sample_test
from synth.evaluation.metrics.validity import Validity, check_validity
from synth.evaluation.metrics.vendi import vendi_ratio, vendi_score

__all__ = [
    "CopyDetector",
    "Look",
    "Manifold",
    "Novelty",
    "Pair",
    "Power",
    "TwoSample",
    "Validity",
    "check_validity",
    "duplicates_within",
    "frechet_distance",
    "frechet_extrapolated",
    "halves",
    "kernel_distance",
    "manifold",
    "novelty",
    "per_class",
    "planted_copy_power",
    "two_sample_test",
    "vendi_ratio",
    "vendi_score",
    "with_floor",
]
