"""Real data: sources to read, images in memory, and splits that cannot leak."""

from synth.data.builtin import BUILTINS, builtin_count, builtin_is_local
from synth.data.images import LARGEST_OWN_SIDE, MINIMUM_IMAGES, ImageSet, load_images, require_images
from synth.data.open import open_source
from synth.data.sample import Sample, SourceInfo
from synth.data.source import Source
from synth.data.split import split_by_hash

__all__ = [
    "BUILTINS",
    "LARGEST_OWN_SIDE",
    "MINIMUM_IMAGES",
    "ImageSet",
    "Sample",
    "Source",
    "SourceInfo",
    "builtin_count",
    "builtin_is_local",
    "load_images",
    "open_source",
    "require_images",
    "split_by_hash",
]
