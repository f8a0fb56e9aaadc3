"""The augmentation pipeline: one specification, the same samples everywhere."""

from synth.augment.mixing import Partners
from synth.augment.pipeline import Pipeline
from synth.augment.reading import read_specification
from synth.augment.samples import Boxes, Points, Samples
from synth.augment.specification import Specification
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
