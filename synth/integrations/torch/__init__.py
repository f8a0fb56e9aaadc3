"""Augmentation in PyTorch: data sets for DataLoader, and a transform for pipelines that are there already.

All key each image by its content, so that they give what ``Pipeline.run`` gives with the ids of a source:
with any number of workers, in any order, on any rank, and after a restart. Tell them each epoch's number.
"""

from synth.integrations.augmenter import collate
from synth.integrations.torch.dataset import AugmentedDataset, as_torch
from synth.integrations.torch.iterable import AugmentedIterable
from synth.integrations.torch.stream import AugmentedStream, as_stream
from synth.integrations.torch.synthetic import SynthStream
from synth.integrations.torch.transform import AugmentTransform, as_transform

__all__ = [
    "AugmentTransform",
    "AugmentedDataset",
    "AugmentedIterable",
    "AugmentedStream",
    "SynthStream",
    "as_stream",
    "as_torch",
    "as_transform",
    "collate",
]
