"""What a data set of translated images shall hold; every image is looked at before anything is made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from synth.artifacts.preservation import THRESHOLD, check_drift
from synth.data.source import Source
from synth.data.writers.formats import Format, get_format
from synth.data.writers.names import folder_names
from synth.data.writers.objects import check_layout
from synth.errors import LabelError, SourceError, UsageError
from synth.families import generates, require_translator
from synth.labels import Labels, normalise_labels
from synth.offline.objects import catalogue_of, default_format, largest_shard
from synth.offline.plan import SHARD_SIZE, Request
from synth.sampling.pictures import as_pictures, recorded
from synth.sampling.sizes import LEAST_SIDE
from synth.text import closest, some

if TYPE_CHECKING:
    from synth.artifacts import ModelCard
    from synth.sampling.generator import Value

Fit = Literal["resize"]
"""What is done to images of another size than the model's: as training does, see ``load_images``."""


@dataclass(frozen=True, kw_only=True)
class TranslationPlan(Request):
    """A whole data set of translated images: equal plans make equal data sets.

    Attributes:
        source: the source as the user wrote it, for people; ``ids`` decide.
        ids: content hash of each image, in the order of the source.
        labels: what the images show, in the classes of the model: a request as in ``synth.labels``, or with
            ``own_labels`` the class number of each image.
        own_labels: the labels are the source's.
        kept: class names and numbers of the source, which the data set keeps where the model has no classes.
        fit: see ``Fit``; None refuses images of another size, or keeps it where the model takes any.
        own_sizes: the translations have the sizes of their images.
        pictures: canonical pixels by the parameter that takes them; ``parameters`` has their ids.
        annotations: digest of what is known of objects and masks, which stay where they are, or None.
        drift: what ``synth.artifacts.preservation`` says of labels that are kept although they may be wrong.
        place_drift: the same of objects and masks, which may lie elsewhere.
    """

    source: str
    ids: tuple[str, ...]
    own_labels: bool = False
    kept: tuple[tuple[str, ...], tuple[int, ...]] | None = None
    fit: Fit | None = None
    own_sizes: bool = False
    pictures: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)
    annotations: str | None = None
    drift: Mapping[str, Any] | None = None
    place_drift: Mapping[str, Any] | None = None

    @cached_property
    def source_digest(self) -> str:
        """SHA-256 over the ids of the images and the labels that come from the source."""
        digest = hashlib.sha256("".join(self.ids).encode())
        if self.own_labels:
            digest.update(repr(self.labels).encode())
        if self.kept is not None:
            digest.update(repr(self.kept).encode())
        return digest.hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """The request ready for JSON; equal plans give equal dictionaries."""
        # The labels of a source may be millions; its digest covers them.
        shown = replace(self, labels="source") if self.own_labels or self.kept is not None else self
        return {
            "operation": "translate",
            **super(TranslationPlan, shown).as_dict(),
            "source": self.source,
            "source_digest": self.source_digest,
            "fit": self.fit,
            **({"sizes": "own"} if self.own_sizes else {}),
            **({"annotations": self.annotations} if self.annotations else {}),
            **({} if self.drift is None else {"label_drift": dict(self.drift)}),
            **({} if self.place_drift is None else {"place_drift": dict(self.place_drift)}),
        }


def make_translation_plan(
    card: ModelCard,
    source: Source,
    *,
    labels: Labels | None = None,
    fit: Fit | None = None,
    name: str | None = None,
    any_size: bool = False,
    parameters: Mapping[str, Value] | None = None,
    allow_label_drift: bool = False,
    shard_size: int = SHARD_SIZE,
    **request: Any,
) -> TranslationPlan:
    """The plan of translating a whole source by the generator of this card.

    Every image is decoded once, so that nothing is begun that would fail in the middle.

    Args:
        source: its i-th image gets the key (seed, start + i).
        labels: what the images show, see ``synth.labels``; None: the source's own, matched by the names of
            the classes.
        fit: see ``TranslationPlan``.
        name: what to call the source; by default as it was opened.
        any_size: the generator's; images then keep the sizes that they have, unless they are to be fitted.
        parameters: by name, as ``Sampler.translate`` takes them.
        allow_label_drift: keep labels, or objects and masks, also where the model was not found to preserve
            what they say; the plan then tells it.
        shard_size: of large images that keep their sizes, fewer are taken.
        request: the other fields of ``Request``; the format is by default that of the source.

    Raises:
        ConfigError: a format that would lose objects or masks, or that needs them.
        UsageError: the model cannot translate, or not preserve labels, or a value is out of range.
        LabelError: labels that cannot be read, classes that the model does not have, or no labels where the
            model needs them.
        SourceError: an image of another size, without ``fit``.
        UnreadableError: files that cannot be decoded.
    """
    require_translator(card.family, card.reference)
    if fit not in (None, "resize"):
        raise UsageError(f"There is no fit {fit!r}; use resize, or leave it out.")
    called = source.info.spec if name is None else name
    own_sizes = fit is None and any_size
    given = {} if parameters is None else dict(parameters)
    texts = {name: value for name, value in given.items() if isinstance(value, (str, int, float))}
    pictures = {name: as_pictures(name, value) for name, value in given.items() if name not in texts}
    drift = place_drift = None
    catalogue = catalogue_of(source)
    form = get_format(request.setdefault("format", default_format(source)), annotated=catalogue is not None)
    if catalogue is not None:
        check_layout(catalogue, form.name)
        if fit is not None:
            raise UsageError(
                f"--fit {fit} would move what the objects and masks of {called} are about: leave it out, and "
                "resize the images with synth augment first."
            )
        place_drift = _check_places(card, texts, allow_label_drift)
    sizes = _check_sizes(source, called, card, fit, own_sizes)
    if own_sizes:
        _check_format(called, sizes, form)
    if own_sizes or catalogue is not None:
        largest = max(height * width for height, width in sizes)
        shard_size = min(shard_size, largest_shard(source, largest, card.image.channels))
    own: tuple[int, ...] | None = None
    if labels is None and card.classes is not None:
        own = _match(source, called, card, card.classes)
    kept = None
    if labels is None and card.classes is None and source.labels is not None:
        kept = source.info.classes or (), tuple(source.labels.tolist())
    if kept is not None or own is not None or labels is not None:
        drift = check_drift(card, texts, allow=allow_label_drift)
    return TranslationPlan(
        model=card.reference,
        digest=card.digest,
        classes=card.classes,
        count=len(source),
        labels=own if own is not None else normalise_labels("any" if labels is None else labels),
        source=called,
        ids=tuple(source.ids),
        own_labels=own is not None,
        kept=kept,
        fit=fit,
        own_sizes=own_sizes,
        parameters={**texts, **{name: recorded(pixels) for name, pixels in pictures.items()}},
        pictures=pictures,
        annotations=None if catalogue is None else catalogue.digest,
        drift=drift,
        place_drift=place_drift,
        shard_size=shard_size,
        **request,
    )


def _check_places(card: ModelCard, parameters: Mapping[str, Any], allow: bool) -> dict[str, Any] | None:
    """As ``check_drift``, of objects and masks; generators that vary an image were never held to places."""
    if generates(card.family):
        if not allow:
            raise UsageError(
                f"{card.reference} makes variations of images, in which objects may lie elsewhere. Use a "
                "translator, or take the risk with --allow-label-drift."
            )
        return {"figure": "geometry", "value": None, "threshold": THRESHOLD}
    return check_drift(card, parameters, allow=allow, figure="geometry")


def _check_format(called: str, sizes: set[tuple[int, int]], form: Format) -> None:
    """Raise UsageError where images of several sizes are to become rows of one array."""
    if len(sizes) > 1 and not form.any_size:
        raise UsageError(
            f"The images of {called} have {len(sizes):,} sizes, and the format {form.name} holds images of "
            "one. Use imagefolder or webdataset, or --fit resize."
        )


def _check_sizes(
    source: Source, called: str, card: ModelCard, fit: Fit | None, own_sizes: bool
) -> set[tuple[int, int]]:
    """All heights and widths. Every image is decoded once: what is wrong shows before anything is made."""
    wanted = card.image.height, card.image.width
    found: set[tuple[int, int]] = set()
    for origin, (height, width) in source.each(lambda pixels: pixels.shape[:2]):
        found.add((height, width))
        if own_sizes and min(height, width) < LEAST_SIDE:
            raise SourceError(
                f"{origin} of {called} is {height} x {width} (height x width), and {card.reference} takes "
                f"images from {LEAST_SIDE} pixels a side on. Leave it out, or use --fit resize."
            )
        if fit is None and not own_sizes and (height, width) != wanted:
            raise SourceError(
                f"{origin} of {called} is {height} x {width} (height x width), and "
                f"{card.reference} takes {wanted[0]} x {wanted[1]}. With --fit resize such images are "
                "resized, and cropped at the centre."
            )
    if not found:
        raise SourceError(f"There are no images in {called}: there is nothing to translate.")
    return found


def _match(source: Source, called: str, card: ModelCard, classes: Sequence[str]) -> tuple[int, ...]:
    """The class number of each image in the model, found by the names of its class."""
    info, labels = source.info, source.labels
    if labels is None or info.classes is None:
        raise LabelError(
            f"{card.reference} has classes, and {called} has no labels. Say with --labels what the images "
            f"show: {some(list(classes), 20)}."
        )
    # Names that cannot be folders are changed when a data set is written; it must be readable here.
    known: Mapping[str, int] = {
        **{name: number for number, name in enumerate(folder_names(classes))},
        **{name: number for number, name in enumerate(classes)},
    }
    there = [info.classes[number] for number in sorted(set(labels.tolist()))]
    unknown = [name for name in there if name not in known]
    if unknown:
        raise LabelError(
            f"{card.reference} has no class {some([repr(name) for name in unknown])}"
            f"{closest(unknown[0], classes)}, which {called} has. Classes of the model: "
            f"{some(list(classes), 20)}. Rename them, or say with --labels what the images show."
        )
    return tuple(known[info.classes[number]] for number in labels.tolist())
