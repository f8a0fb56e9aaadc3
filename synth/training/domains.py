"""The images of a training: of one source or, where a way between two domains is learnt, of two."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from synth.data import LARGEST_OWN_SIDE, ImageSet, load_images, open_source
from synth.data.scratch import chunk_of, widened
from synth.errors import SourceError
from synth.home import cache_folder
from synth.text import plural
from synth.training.recipe import Recipe
from synth.training.requirements import with_labels
from synth.training.runs import data_digest


@dataclass(frozen=True)
class Images:
    """All images of a training; those of ``target`` have the channels of the others, and the size that the
    recipe wants, which mostly is theirs."""

    source: ImageSet
    target: ImageSet | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know; with the source's name where there are two."""
        if self.target is None:
            return self.source.notes
        return tuple(f"{each.source}: {note}" for each in (self.source, self.target) for note in each.notes)

    @property
    def digest(self) -> str:
        """Of contents, labels and shape, see ``data_digest``."""
        own = data_digest(self.source)
        if self.target is None:
            return own
        return hashlib.sha256(f"{own} {data_digest(self.target)}".encode()).hexdigest()

    @property
    def counts(self) -> tuple[int, ...]:
        """How many there are of each."""
        return (len(self.source), *([] if self.target is None else [len(self.target)]))


def read_domains(
    source: str | Path, target: str | Path | None, recipe: Recipe, *, skip_unreadable: bool
) -> Images:
    """All images, as the recipe wants them; those that memory cannot hold lie in a file.

    Where one of two domains is in colour, the other's grey is repeated to three channels.

    Raises:
        SourceError: domains of unlike sizes while the recipe sets none, or that hold the same images.
    """
    first = _read(source, recipe, skip_unreadable, recipe.size)
    if target is None:
        return Images(with_labels(first, recipe))
    if recipe.pairs_target:
        second = _read(target, recipe, skip_unreadable, recipe.size)
        _check_sizes(first, second)
    else:
        height, width = first.images.shape[2:]
        second = _read(target, recipe, skip_unreadable, recipe.target_size((height, width)))
    second = _check_apart(first, second)
    if first.images.shape[1] != second.images.shape[1]:
        first, second = _in_colour(first), _in_colour(second)
    return Images(with_labels(first, recipe), second)


def are_grey(images: Tensor) -> bool:
    """Whether all channels of all images, uint8 [N, C, H, W], are equal."""
    step = chunk_of(images)
    parts = (images[at : at + step] for at in range(0, len(images), step))
    return all(bool((part == part[:, :1]).all()) for part in parts)


def _read(
    source: str | Path, recipe: Recipe, skip_unreadable: bool, size: tuple[int, int] | None
) -> ImageSet:
    return load_images(
        open_source(source, skip_unreadable=skip_unreadable),
        size=size,
        channels=recipe.channels,
        largest_own_side=LARGEST_OWN_SIDE,
        scratch=cache_folder(),
        soft=recipe.takes_shares,
    )


def _check_sizes(first: ImageSet, second: ImageSet) -> None:
    sizes = [tuple(images.images.shape[2:]) for images in (first, second)]
    if sizes[0] != sizes[1]:
        described = " and ".join(
            f"those of {images.source} are {height} x {width}"
            for images, (height, width) in zip((first, second), sizes, strict=True)
        )
        height, width = min(sizes)
        raise SourceError(
            f"The two domains differ in size: {described} (height x width). Choose one for both with --size, "
            f"such as --size {height}x{width}."
        )


def _check_apart(first: ImageSet, second: ImageSet) -> ImageSet:
    """The second domain, with a note on images that are in both; SourceError where one holds the other."""
    contents, others = set(first.ids), set(second.ids)
    shared = len(contents & others)
    if shared == min(len(contents), len(others)):
        raise SourceError(
            f"{first.source} and {second.source} hold the same images, by their content: there is no way "
            "from one to the other to be learnt. Give another source to --data or to --target."
        )
    if shared:
        note = f"{plural(shared, 'image')} are in {first.source} as well, which blurs what the domains are"
        return replace(second, notes=(*second.notes, note))
    return second


def _in_colour(images: ImageSet) -> ImageSet:
    """With three channels; a note where they are repeated."""
    if images.images.shape[1] == 3:
        return images
    pixels = images.images
    colour = widened(pixels, images.scratch) if images.scratch else pixels.expand(-1, 3, -1, -1).contiguous()
    note = "grey, repeated to 3 channels, since the other domain is in colour"
    return replace(images, images=colour, notes=(*images.notes, note))
