"""What may be wrong with a source: duplicates, leaks, outliers, wrong labels, imbalance, shortcuts."""

from synth.evaluation.integrity.check import check_source
from synth.evaluation.integrity.findings import SUBJECTS, Finding
from synth.evaluation.integrity.options import CheckOptions
from synth.evaluation.integrity.report import SourceReport, check_subjects

__all__ = ["SUBJECTS", "CheckOptions", "Finding", "SourceReport", "check_source", "check_subjects"]
