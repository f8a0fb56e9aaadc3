"""Splits on disk: which sample belongs to which part, as a file that every command can open parts by."""

from synth.data.splits.groups import read_groups
from synth.data.splits.make import Split, make_split
from synth.data.splits.manifest import PartSummary, SampleRecord, SplitManifest, read_split
from synth.data.splits.rule import SplitRule, parse_fractions
from synth.data.splits.write import FORMATS, write_split

__all__ = [
    "FORMATS",
    "PartSummary",
    "SampleRecord",
    "Split",
    "SplitManifest",
    "SplitRule",
    "make_split",
    "parse_fractions",
    "read_groups",
    "read_split",
    "write_split",
]
