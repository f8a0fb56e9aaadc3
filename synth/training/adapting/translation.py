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
from synth.training.fitting import fit
from synth.training.recipe import Recipe, resolve_recipe
from synth.training.reporter import Reporter
from synth.training.runs import data_digest, has_run

if TYPE_CHECKING:
    from synth.training.adapting.adapt import Adaptation

_CHUNK = 500


def translated_source(
    pair: DomainPair, wanted: Adaptation, recipe: Recipe, tell: Reporter
) -> tuple[Path, list[str]]:
    """The source through a translator, with its labels, as .npz in SYNTH_HOME/cache; and what to say of it.

    Raises:
        NotFoundError: no such translator.
        UsageError: a model that makes no images from images.
        LabelError: labels that may not survive it, and that was not allowed.
    """
    store = wanted.store or Store()
    translator = _translator(pair, wanted, recipe, store, tell)
    note = _label_note(translator, wanted.allow_label_drift)
    image = translator.manifest.image
    images = load_images(
        open_source(pair.source_spec),
        size=(image.height, image.width),
        channels=image.channels,
        scratch=cache_folder(),
    )
    key = f"{translator.manifest.digest} {data_digest(images)} {recipe.seed}"
    folder = cache_folder() / "translated" / hashlib.sha256(key.encode()).hexdigest()[:24]
    path = folder / f"{translator.manifest.name}.npz"
    if not path.exists():
        tell.note(f"translate: making {len(images):,} images with {translator.manifest.reference}")
        sampler = Sampler(translator, device=wanted.device)
        folder.mkdir(parents=True, exist_ok=True)
        write_npz(translated(sampler, images, recipe.seed), path)
    return path, [f"trained on the source, translated by {translator.manifest.reference}: {note}"]


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


def _translator(
    pair: DomainPair, wanted: Adaptation, recipe: Recipe, store: Store, tell: Reporter
) -> Artifact:
    """The one that was named, or a ``cut`` that is trained for this pair."""
    if wanted.translator is not None:
        artifact = store.open(wanted.translator)
        require_translator(artifact.manifest.family, artifact.manifest.reference)
        return artifact
    name = f"{wanted.name}-cut"
    minutes = wanted.translator_minutes or recipe.minutes
    length = {"images_seen": recipe.images_seen} if minutes is None else {"minutes": minutes}
    own = resolve_recipe(
        "cut", flags={**length, "size": pair.size, "channels": pair.channels, "seed": recipe.seed}
    )
    tell.note(f"translate: training {name}, from the source to the target")
    return fit(
        "cut",
        pair.source_spec,
        own,
        name=name,
        target=pair.target_spec,
        store=store,
        runs=wanted.runs,
        resume=wanted.resume and has_run(name, wanted.runs),
        device=wanted.device,
        reporter=tell,
    )


def _label_note(translator: Artifact, allowed: bool) -> str:
    """How far labels survive the translator; LabelError where that is not far enough, or not known."""
    manifest = translator.manifest
    metric = manifest.metrics.get("label_preservation")
    value = None if metric is None else metric.value
    told = (
        "whether labels survive it was not measured"
        if value is None
        else f"it keeps {value:.1%} of the labels"
    )
    if not allowed and (value is None or value < THRESHOLD):
        raise LabelError(
            f"{manifest.reference} may change what images show: {told}, and {THRESHOLD:.0%} are "
            "asked for. Use another translator, leave translate out of --methods, or take the risk with "
            "--allow-label-drift."
        )
    return told
