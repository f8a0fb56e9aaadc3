"""Batches of a data set, augmented: what all adapters share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from synth.augment import Partners, Pipeline, Samples
from synth.augment.mixing import usable
from synth.errors import SourceError, UsageError
from synth.integrations.originals import Originals
from synth.integrations.targets import Original, stacked, write_target

Item = Any
"""An image, uint8 [C, H, W], or a pair of an image and its target."""
_OF_BOXES = ("boxes", "labels", "masks", "objects", "copies")
_RAGGED = (*_OF_BOXES, "points", "owners", "kinds", "mirrors", "seen", "owner_copies")
_COLOURS = 3


class Augmenter:
    """Augments originals by their ids, those of one kind together.

    Args:
        originals: where positions, and partners of samples that are mixed, are looked up.
        pipeline: None changes nothing.
        channels: of all images: grey ones are repeated, once augmented. None leaves them as they were given.
    """

    def __init__(self, originals: Originals, pipeline: Pipeline | None, channels: int | None = None) -> None:
        if channels not in (None, 1, 2, 3, 4):
            raise UsageError(f"Images have 1 to 4 channels, not {channels!r}.")
        if pipeline is not None and not isinstance(pipeline, Pipeline):
            raise UsageError(
                f"{type(pipeline).__name__} is no Pipeline, which runs here: read one with Pipeline.read, or "
                "call the run of a RemotePipeline with the batches of the loop."
            )
        self.originals, self._pipeline, self._channels = originals, pipeline, channels
        self.mixes = pipeline is not None and bool(pipeline.specification.batch)
        steps = () if pipeline is None else pipeline.specification.operations()
        self._moving = next((one.id for one in steps if one.geometry != "none" and one.probability > 0), None)
        # The ids of a whole data set decode it once, which only mixing needs: here, and not in each worker.
        self._partners = (
            usable(Partners(originals.ids, self._alone, len(originals.classes or ()))) if self.mixes else None
        )

    @property
    def what(self) -> dict[str, str | int | None]:
        """What a saved place in its samples belongs to, ready for JSON."""
        if self._pipeline is None:
            return {"pipeline": None}
        return {"pipeline": self._pipeline.specification.digest, "pipeline_seed": self._pipeline.seed}

    def at(self, positions: Sequence[int], epoch: int) -> list[Item]:
        """The samples at these positions."""
        return self.of([self.originals[position] for position in positions], epoch)

    def of(self, originals: Sequence[Original], epoch: int) -> list[Item]:
        """These, in their order; raises what ``Pipeline.run`` raises."""
        kinds: dict[tuple[object, ...], list[int]] = {}
        for row, one in enumerate(originals):
            if self.mixes and one.target is not None and not _is_known(one):
                raise SourceError(
                    f"Sample {one.id} has a target of {type(one.target).__name__}, which cannot be mixed: a "
                    "number of a class, shares or masks can."
                )
            if self._moving is not None and one.unread:
                raise SourceError(
                    f"Sample {one.id} has a target of {type(one.target).__name__}, and it is not known what "
                    f"of it moves with the image, which {self._moving} moves. Give boxes, masks, points in "
                    "a dictionary, see synth.integrations.targets, or leave such steps out."
                )
            kinds.setdefault(one.kind, []).append(row)
        items: dict[int, Item] = {}
        for rows in kinds.values():
            alike = [originals[row] for row in rows]
            made = self._run(stacked(alike, self.originals.classes), epoch, alike[0].channels)
            together = zip(rows, alike, made.images.unbind(), strict=True)
            for place, (row, original, image) in enumerate(together):
                items[row] = (
                    image if original.target is None else (image, write_target(original, made, place))
                )
        return [items[row] for row in range(len(originals))]

    def _run(self, samples: Samples, epoch: int, given: int | None) -> Samples:
        made = samples if self._pipeline is None else self._pipeline.run(samples, epoch, self._partners)
        there = made.images.shape[1]
        if self.mixes and there > samples.images.shape[1] and (self._channels or given) in (None, 1):
            raise SourceError(
                f"Sample {made.ids[0]} is grey, and its partner or one of its batch is of colour: give "
                "'channels', 3."
            )
        wanted = self._channels or (given if there == 1 else there)
        if wanted is None or there == wanted:
            return made
        if there != 1 or wanted != _COLOURS:
            raise SourceError(
                f"Sample {made.ids[0]} has {there} channels and {wanted} are wanted. Only grey images can be "
                "made to fit others (3 channels): leave 'channels' out, or convert the images before."
            )
        return replace(made, images=made.images.repeat(1, _COLOURS, 1, 1))

    def _alone(self, position: int) -> Samples:
        return stacked([self.originals[position]], self.originals.classes)


def _is_known(one: Original) -> bool:
    return any(value is not None for value in (one.label, one.boxes, one.mask, one.points))


def collate(items: Sequence[Item]) -> Any:
    """A batch of items: images uint8 [N, C, H, W], and their targets.

    Labels become int64 [N], shares float32 [N, K], masks [N, H, W]. Targets that are dictionaries become one
    of columns, in which boxes, their labels and points stay lists of N tensors.

    Raises SourceError where images have several shapes.
    """
    pairs = sum(isinstance(item, tuple) for item in items)
    if pairs not in (0, len(items)):
        raise SourceError(
            f"{pairs} of the batch's {len(items)} images have a target, and the others have none: give all "
            "of the data set one, or the loader collate_fn=list."
        )
    if not pairs:
        return _stack(items, "images")
    images, targets = zip(*items, strict=True)
    return _stack(images, "images"), _collate_targets(targets)


def _collate_targets(targets: Sequence[Any]) -> Any:
    first = targets[0]
    if isinstance(first, Mapping):
        unlike = sorted({key for target in targets for key in target.keys() ^ first.keys()})
        if unlike:
            raise SourceError(
                f"Some targets of the batch have {unlike[0]!r} and some have not, as the data set knows it "
                "of some images only: give the loader collate_fn=list."
            )
        columns = {key: [target[key] for target in targets] for key in first}
        return {
            key: column if key in _RAGGED else _collate_targets(column) for key, column in columns.items()
        }
    return _stack(targets, "masks") if isinstance(first, Tensor) else default_collate(list(targets))


def _stack(values: Sequence[Tensor], what: str) -> Tensor:
    shapes = sorted({tuple(one.shape) for one in values})
    if len(shapes) > 1:
        raise SourceError(
            f"The {what} of a batch have several shapes, {list(shapes[0])} and {list(shapes[-1])}: let the "
            "pipeline end in resized_crop with a size; give 'channels' where some are grey and some of "
            "colour; or give the loader collate_fn=list."
        )
    return torch.stack(list(values))
