"""A map-style data set, augmented."""

from __future__ import annotations

from collections.abc import Sequence

from torch.utils.data import Dataset

from synth.augment import Pipeline
from synth.integrations.augmenter import Augmenter, Item
from synth.integrations.originals import Classes, Data, Ids, originals_of
from synth.integrations.torch.epoch import Epoch


class AugmentedDataset(Dataset[Item]):
    """The images of a source or data set, augmented; see ``as_torch``."""

    def __init__(self, augmenter: Augmenter) -> None:
        self._augmenter = augmenter
        self._epoch = Epoch()

    def set_epoch(self, epoch: int) -> None:
        """Augment anew, in all workers, from the next batch that they begin."""
        self._epoch.set(epoch)

    def __len__(self) -> int:
        return len(self._augmenter.originals)

    def __getitem__(self, position: int) -> Item:
        return self.__getitems__([position])[0]

    def __getitems__(self, positions: Sequence[int]) -> list[Item]:
        """A batch at once, which DataLoader asks for: images of one shape are augmented together.

        Raises UnreadableError, and what ``Pipeline.run`` raises.
        """
        return self._augmenter.at(positions, self._epoch.get())


def as_torch(
    data: Data,
    pipeline: Pipeline,
    *,
    ids: Ids = "content",
    classes: Classes = None,
    channels: int | None = None,
) -> AugmentedDataset:
    """A map-style data set for ``torch.utils.data.DataLoader``, with samplers and workers of any kind.

    Its items are images, uint8 [C, H, W], or pairs of an image and its target, in the form that they have in
    ``data`` (see ``synth.integrations.targets``): boxes, masks and points move with the image. A pipeline
    that mixes makes of the number of a class float32 [K], the share of each class.

    Args:
        data: a source, or any map-style data set whose items are an image (PIL, uint8 array [H, W, C] or
            uint8 tensor [C, H, W]), or an image and its target.
        ids: what the random numbers of a sample follow from: ``content``, so that every way in gives the
            same; an id for each position; or a function that gives an item's.
        classes: names or number of the classes, where ``data`` is a data set without ``classes`` of its own;
            mixing needs them.
        channels: 3 repeats grey images, once augmented, where others are of colour.

    Raises UsageError for arguments that do not fit, SourceError for a data set of one image that is to be
    mixed.
    """
    return AugmentedDataset(Augmenter(originals_of(data, ids, classes), pipeline, channels))
