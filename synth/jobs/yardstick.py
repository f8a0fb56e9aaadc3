"""The extractor of a report: one that is named, one that knows the real images, or one trained now."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import numpy as np

from synth.artifacts import Artifact, Store
from synth.artifacts.files import exclusive, make_folder, storage_errors
from synth.artifacts.store import Entry
from synth.data import LARGEST_OWN_SIDE, MINIMUM_IMAGES, ImageSet
from synth.errors import ArtifactError, SourceError
from synth.evaluation.extractor import Extractor
from synth.evaluation.extractors import open_extractor
from synth.families import get_family
from synth.home import home
from synth.training import Recipe, fit
from synth.training.recipe import make_recipe

_KNOWN = 0.8
"""Share of the real images that an encoder must have been trained on to be the one for them."""
_PIXELS_SEEN = 24_000 * 28 * 28
_LEAST_SEEN, _MOST_SEEN = 6_000, 60_000
_LEAST_SIDE = 8
_BATCH = 256

Say = Callable[[str], None]
Tell = Callable[[float, str], None]


def choose_extractor(
    spec: str | None,
    real: ImageSet,
    holdout: ImageSet | None = None,
    *,
    store: Store | None = None,
    device: str = "auto",
    quick: bool = False,
    say: Say = lambda text: None,
    progress: Tell = lambda share, what: None,
) -> Extractor:
    """The extractor to compare images in.

    Without a ``spec``: the newest encoder in the store that was trained on these real images and on none of
    the holdout; otherwise one is trained briefly on them, and kept in SYNTH_HOME/cache/encoders for the next
    report on the same images.

    Args:
        spec: see ``open_extractor``.
        real: what to train on. Labels are not looked at.
        quick: train a third as long.
        say: told which one it is.

    Raises:
        SourceError: images that are too large to train on at their own size.
        And what ``open_extractor`` and ``fit`` raise.
    """
    store = store or Store()
    if spec is not None:
        return open_extractor(spec, store=store, device=device)
    known = _in_store(store, real, holdout)
    if known is not None:
        say(f"Features: {known.manifest.reference}, which was trained on these real images.")
        return open_extractor(known.path, store=store, device=device)
    if len(real) < MINIMUM_IMAGES or min(real.images.shape[2:]) < _LEAST_SIDE:
        say("Features: an untrained network, since these real images are too few or too small to train one.")
        return open_extractor("random", device=device)
    _check_size(real)
    recipe = _recipe(real, quick=quick)
    name = f"images-{_digest(real, recipe)[:24]}"
    cache = Store(home() / "cache" / "encoders")
    with storage_errors("keep an encoder", cache.root):
        make_folder(cache.root)
        # Two reports on the same images train one encoder, not two.
        with exclusive(cache.root / f".{name}"):
            if cache.versions(name):
                say("Features: the encoder that was trained on these real images for an earlier report.")
                artifact = cache.find(name)
            else:
                say(
                    f"Features: an encoder is trained on the {len(real):,} real images now, and kept for the "
                    "next report on them. (--encoder takes another one.)"
                )
                artifact = _train(real, recipe, name, cache, device, _Reporter(progress))
    return open_extractor(artifact.path, store=cache, device=device)


def _in_store(store: Store, real: ImageSet, holdout: ImageSet | None) -> Artifact | None:
    shape = tuple(real.images.shape[1:])
    encoders = [entry for entry in store.list() if entry.card is not None and entry.card.family == "encoder"]
    for entry in sorted(encoders, key=_created, reverse=True):
        card = entry.card
        assert card is not None
        if (card.image.channels, card.image.height, card.image.width) != shape:
            continue
        try:
            artifact = Artifact.open(entry.path)
            ids = artifact.training_ids()
        except ArtifactError:
            continue  # synth models list tells of it
        if holdout is not None and ids.contains(holdout.ids).any():
            continue
        if ids.contains(real.ids).mean() >= _KNOWN and len(ids) <= len(real):
            return artifact
    return None


def _created(entry: Entry) -> datetime:
    assert entry.card is not None
    return entry.card.created


def _check_size(real: ImageSet) -> None:
    height, width = real.images.shape[2:]
    if max(height, width) > LARGEST_OWN_SIDE:
        raise SourceError(
            f"The images are {height} x {width} pixels, and an encoder is trained on up to "
            f"{LARGEST_OWN_SIDE} a side. Compare smaller ones (--size 64), or name an extractor (--encoder "
            "efficientnet-lite0:PATH)."
        )


def _recipe(real: ImageSet, *, quick: bool) -> Recipe:
    height, width = real.images.shape[2:]
    seen = int(min(max(_PIXELS_SEEN // (height * width), _LEAST_SEEN), _MOST_SEEN)) // (3 if quick else 1)
    values = {"images_seen": seen, "batch_size": min(_BATCH, max(2, len(real) // 2))}
    recipe: Recipe = make_recipe(get_family("encoder").load("recipe"), values)
    return recipe


def _digest(real: ImageSet, recipe: Recipe) -> str:
    content = json.dumps([sorted(real.ids), list(real.images.shape[1:]), recipe.model_dump(mode="json")])
    return hashlib.sha256(content.encode()).hexdigest()


def _train(
    real: ImageSet, recipe: Recipe, name: str, cache: Store, device: str, reporter: _Reporter
) -> Artifact:
    with tempfile.TemporaryDirectory(prefix="synth-encoder-") as folder:
        # Images of the report, and no source: a part of one, brought to one size.
        path = Path(folder) / "real.npz"
        np.savez(path, images=real.images.permute(0, 2, 3, 1).numpy())
        return fit(
            "encoder",
            path,
            recipe,
            name=name,
            store=cache,
            runs=Path(folder) / "runs",
            device=device,
            reporter=reporter,
        )


class _Reporter:
    """Hands the training's progress on."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def note(self, text: str) -> None:
        """Of no interest to a report."""

    def progress(self, share: float, images_seen: int, seconds: float, figures: Mapping[str, float]) -> None:
        self._tell(share, "Training an encoder")
