"""Translate-then-train: the labelled source, made to look like the target by a translator."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from synth.artifacts import Artifact, Store
from synth.artifacts.preservation import THRESHOLD
from synth.data import ImageSet, load_images, open_source
from synth.data.npz import write_npz
from synth.errors import LabelError
from synth.families import require_translator
from synth.home import cache_folder
from synth.sampling import Sampler
from synth.training.adapting.domains import DomainPair
from synth.training.adapting.training import train
from synth.training.recipe import Recipe, resolve_recipe
from synth.training.reporter import Reporter
from synth.training.runs import data_digest

if TYPE_CHECKING:
    from synth.training.adapting.adapt import Adaptation

_CHUNK = 500


def named_translator(wanted: Adaptation) -> Artifact | None:
    """The translator that was asked for, if one was.

    Raises:
        NotFoundError: no such translator.
        UsageError: a model that makes no images from images.
        LabelError: labels that may not survive it, and that was not allowed.
    """
    if wanted.translator is None:
        return None
    artifact = (wanted.store or Store()).open(wanted.translator)
    require_translator(artifact.manifest.family, artifact.manifest.reference)
    if not may_translate(artifact, wanted):
        raise LabelError(
            f"{drift_of(artifact)}. Use another translator, leave translate out of --methods, or take the "
            "risk with --allow-label-drift."
        )
    return artifact


def may_translate(translator: Artifact, wanted: Adaptation) -> bool:
    """Whether enough labels survive the translator, or drift is allowed."""
    kept = _kept(translator)
    return wanted.allow_label_drift or (kept is not None and kept >= THRESHOLD)


def drift_of(translator: Artifact) -> str:
    """Why it may not translate, in words."""
    return (
        f"{translator.manifest.reference} may change what images show: {_told(translator)}, and "
        f"{THRESHOLD:.0%} are asked for"
    )


def translated_source(
    pair: DomainPair, translator: Artifact, wanted: Adaptation, seed: int, tell: Reporter
) -> tuple[Path, list[str]]:
    """The translated source with its labels, as .npz in SYNTH_HOME/cache, and what to say of it."""
    image = translator.manifest.image
    images = load_images(
        open_source(pair.source_spec, skip_unreadable=pair.skip_unreadable),
        size=(image.height, image.width),
        channels=image.channels,
        scratch=cache_folder(),
    )
    key = f"{translator.manifest.digest} {data_digest(images)} {seed}"
    folder = cache_folder() / "translated" / hashlib.sha256(key.encode()).hexdigest()[:24]
    path = folder / f"{translator.manifest.name}.npz"
    if not path.exists():
        tell.note(f"translate: making {len(images):,} images with {translator.manifest.reference}")
        sampler = Sampler(translator, device=wanted.device)
        folder.mkdir(parents=True, exist_ok=True)
        write_npz(translated(sampler, images, seed), path)
    return path, [
        f"trained on the source, translated by {translator.manifest.reference}: {_told(translator)}"
    ]


def translated(sampler: Sampler, images: ImageSet, seed: int) -> ImageSet:
    """Each image translated under the key (seed, its row), with its label."""
    labels = _labels_for(sampler, images)
    made = [
        sampler.translate(
            images.images[at : at + _CHUNK],
            labels=None if labels is None else labels[at : at + _CHUNK],
            seed=seed,
            start=at,
        ).images
        for at in range(0, len(images), _CHUNK)
    ]
    return replace(images, images=torch.cat(made))


def _labels_for(sampler: Sampler, images: ImageSet) -> list[str] | None:
    """Class names for a translator that is told what images show; None for one that is not."""
    if not sampler.card.classes or images.labels is None or images.classes is None:
        return None
    return [images.classes[number] for number in images.labels.tolist()]


def train_translator(pair: DomainPair, wanted: Adaptation, recipe: Recipe, tell: Reporter) -> Artifact:
    """A ``cut`` for this pair; ``recipe`` is that of the classifiers."""
    minutes = wanted.translator_minutes or recipe.minutes
    length = {"images_seen": recipe.images_seen} if minutes is None else {"minutes": minutes}
    own = resolve_recipe(
        "cut", flags={**length, "size": pair.size, "channels": pair.channels, "seed": recipe.seed}
    )
    tell.note(f"translate: training {wanted.name}-cut, from the source to the target")
    return train("cut", "cut", pair.source_spec, pair, own, wanted, tell)


def _kept(translator: Artifact) -> float | None:
    metric = translator.manifest.metrics.get("label_preservation")
    return None if metric is None else metric.value


def _told(translator: Artifact) -> str:
    kept = _kept(translator)
    return (
        "whether labels survive it was not measured" if kept is None else f"it keeps {kept:.1%} of the labels"
    )
