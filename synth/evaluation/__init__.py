"""Evidence of what synthetic data are worth."""

from synth.evaluation.extractor import Extractor
from synth.evaluation.extractors import open_extractor
from synth.evaluation.report import Report, evaluate, load_sets
from synth.evaluation.utility import Scores, score_classifier, train_classifier

__all__ = [
    "Extractor",
    "Report",
    "Scores",
    "evaluate",
    "load_sets",
    "open_extractor",
    "score_classifier",
    "train_classifier",
]
