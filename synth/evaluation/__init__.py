"""Evidence of what synthetic data are worth."""

from synth.evaluation.utility import Scores, score_classifier, train_classifier

__all__ = ["Scores", "score_classifier", "train_classifier"]
