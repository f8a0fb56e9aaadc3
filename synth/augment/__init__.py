"""The augmentation pipeline: one specification, the same samples everywhere."""

from synth.augment.mixing import Partners
from synth.augment.pipeline import Pipeline
from synth.augment.samples import Boxes, Points, Samples
from synth.augment.spec import Specification, read_specification
from synth.augment.table import OPERATIONS

__all__ = [
    "OPERATIONS",
    "Boxes",
    "Partners",
    "Pipeline",
    "Points",
    "Samples",
    "Specification",
    "read_specification",
]
