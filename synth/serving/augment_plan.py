"""What a request for augmentation asks for: images by shape, the parts they are changed in, the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from synth.augment import Partners, Pipeline, Samples
from synth.batch import Batch, Fingerprint
from synth.data.provenance import PIPELINE
from synth.errors import UsageError
from synth.serving.forms import Form

_PART = 2**18
"""Values that a thread changes before it is the next request's turn; one image, or a bucket, at least."""


@dataclass(frozen=True)
class Group:
    """The images of one shape, and their places in the request."""

    places: tuple[int, ...]
    samples: Samples


@dataclass(frozen=True)
class Part:
    """Some images of a group in one epoch, that are changed at once."""

    places: tuple[int, ...]
    samples: Samples
    epoch: int


@dataclass(frozen=True)
class Augmentation:
    """What a request asks for.

    Attributes:
        groups: its images.
        epoch, copies: copy k of an image is what it becomes in the epoch ``epoch + k``.
        partners: all images of the request, where the pipeline mixes.
        channels: of all images of the answer: grey ones are repeated where others are of colour.
        classes: names of the classes, where they were told.
    """

    pipeline: Pipeline
    groups: tuple[Group, ...]
    epoch: int
    copies: int
    partners: Partners | None
    channels: int
    classes: tuple[str, ...] | None

    @property
    def count(self) -> int:
        """Images of one copy."""
        return sum(len(group.places) for group in self.groups)

    @property
    def shares(self) -> int:
        """Of classes that each image of the answer has."""
        labelled = any(group.samples.labels is not None for group in self.groups)
        return self.partners.classes if self.partners is not None and labelled else 0

    def largest(self, samples: Samples) -> int:
        """Values of the largest image on the way of one of these, its shares of classes included."""
        height, width = self.pipeline.specification.sizes(samples.size)[1]
        return samples.images.shape[1] * height * width + self.shares

    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each image of the answer; ConfigError where a crop does not fit."""
        found: dict[int, tuple[int, int]] = {}
        for group in self.groups:
            size, _ = self.pipeline.specification.sizes(group.samples.size)
            found.update(dict.fromkeys(group.places, size))
        return [found[place] for place in range(self.count)] * self.copies

    def parts(self) -> Iterator[Part]:
        """Copy by copy, and within a copy by the place of the first image."""
        parts: list[tuple[tuple[int, ...], Samples]] = []
        for group in self.groups:
            step = max(self.pipeline.bucket, _PART // self.largest(group.samples))
            for first in range(0, len(group.places), step):
                rows = slice(first, first + step)
                parts.append((group.places[rows], group.samples.part(rows)))
        parts.sort(key=lambda part: part[0][0])
        for copy in range(self.copies):
            for places, samples in parts:
                yield Part(places, samples, self.epoch + copy)

    def whole(self) -> Batch:
        """All of the answer but the pixels, and but the labels where the pipeline mixes."""
        digest = self.pipeline.specification.digest
        sizes = set(self.sizes())
        height, width = sizes.pop() if len(sizes) == 1 else (0, 0)
        count = self.count * self.copies
        ids: dict[int, str] = {}
        labels: dict[int, int] = {}
        for group in self.groups:
            ids.update(zip(group.places, map(str, group.samples.ids), strict=True))
            if group.samples.labels is not None:
                labels.update(zip(group.places, group.samples.labels.tolist(), strict=True))
        shown = torch.tensor([labels[place] for place in range(self.count)]) if labels else None
        return Batch(
            images=torch.empty((count, self.channels, height, width), dtype=torch.uint8, device="meta"),
            labels=None if shown is None else shown.repeat(self.copies),
            index=torch.arange(count),
            seed=self.pipeline.seed,
            fingerprint=Fingerprint(
                f"{PIPELINE}{digest[:12]}", digest, torch.__version__, "cpu", "32", "exact"
            ),
            classes=self.classes,
            parameters={"copies": self.copies, "epoch": self.epoch},
            translated=True,
            sources=[ids[place] for place in range(self.count)] * self.copies,
        )


def check_form(form: Form, sizes: Sequence[tuple[int, int]]) -> None:
    """Raise UsageError where the answer could not hold images of these sizes."""
    several = sorted(set(sizes))
    if len(several) > 1 and not form.any_size:
        (height, width), (other_height, other_width) = several[0], several[-1]
        raise UsageError(
            f"The images differ in size, as {height} x {width} and {other_height} x {other_width}, and the "
            f"format {form.name} holds images of one. Ask for tar, json or multipart, or let the pipeline "
            "end with resized_crop and a size."
        )
