"""From what the user names to the sets of a report: sources, models, and the holdout that a model implies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from synth.artifacts import Artifact, Store
from synth.data import BUILTINS, ImageSet, load_images, open_source
from synth.data.pixels import canonical, content_id
from synth.data.writers import read_manifest
from synth.errors import ConfigError, NotFoundError, SourceError, UsageError
from synth.evaluation.leaks import check_no_leak
from synth.evaluation.report.sets import align_sets
from synth.evaluation.study import MINIMUM
from synth.randomness import permutation, stream_id
from synth.sampling import Sampler

_CHOICE = stream_id("evaluation/count")
MOST_GENERATED = 10_000
"""Images that are generated unless a count is given."""
_CHUNK = 1_000


@dataclass(frozen=True)
class Loaded:
    """What ``evaluate`` takes; ``generator`` is None where it is not known."""

    real: ImageSet
    synthetic: ImageSet
    holdout: ImageSet | None
    generator: Artifact | None


def load_sets(
    real: str | Path,
    synthetic: str | Path | Artifact,
    holdout: str | Path | None = None,
    *,
    count: int | None = None,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    seed: int = 0,
    store: Store | None = None,
    device: str = "auto",
    precision: str = "auto",
    skip_unreadable: bool = False,
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> Loaded:
    """Load, and where a model is named generate, the sets of a report.

    Where the generator is known (it is named, or made the data set and is in the store) and no holdout is,
    the real images that it was not trained on are held out.

    Args:
        real, holdout: sources, see ``synth.data.open_source``.
        synthetic: a source, or a model: NAME, NAME@VERSION or the folder of one. What exists as a folder or
            file, and what is built in, is a source unless it is a model's folder.
        count: synthetic images; by default all of a source, and as many of a model as there are real ones, up
            to 10,000. Of a larger source a random choice is taken.
        size, channels: as in ``load_images``; by default those of the model.
        seed: of generation and choice.

    Raises:
        NotFoundError: nothing is called so.
        LeakError: the generator was trained on images of the holdout, or they are among the real ones.
        SourceError, LabelError, UnreadableError: what is there cannot be used, or not be compared.
    """
    store = store or Store()
    if count is not None and count < 1:
        raise ConfigError(f"--count must be at least 1, not {count}.")
    model = synthetic if isinstance(synthetic, Artifact) else find_model(synthetic, store)
    if model is not None:
        image = model.manifest.image
        size, channels = size or (image.height, image.width), channels or image.channels

    def load(source: str | Path) -> ImageSet:
        opened = open_source(source, skip_unreadable=skip_unreadable)
        return load_images(opened, size=size, channels=channels)

    progress(0.0, "Loading images")
    images = load(real)
    held = None if holdout is None else load(holdout)
    generator = synthetic if isinstance(synthetic, Artifact) else model or _maker(synthetic, store)
    if generator is not None and held is not None:  # before anything is generated
        check_no_leak(generator, held.ids, "the holdout")
    if model is not None:
        made = generate_set(
            model, count or min(len(images), MOST_GENERATED), seed=seed, device=device, precision=precision,
            progress=progress,
        )  # fmt: skip
    else:
        assert not isinstance(synthetic, Artifact)
        made = _choose(load(synthetic), count, seed)
    if generator is not None and held is None:
        images, held = hold_out(images, generator)
    align_sets(images, made, held)  # what cannot be compared is refused before an encoder is trained for it
    return Loaded(images, made, held, generator)


def find_model(reference: str | Path, store: Store) -> Artifact | None:
    """The model that is meant; None where it is a source. NotFoundError where it is neither."""
    text = str(reference)
    path = Path(text).expanduser()
    if path.exists():
        is_model = (path / "manifest.json").is_file() and (path / "weights.safetensors").is_file()
        return Artifact.open(path) if is_model else None
    base = text.rpartition(":")[0]
    if text in BUILTINS or base in BUILTINS or base.lower().endswith(".npz"):
        return None
    try:
        return store.open(text)
    except (NotFoundError, UsageError) as error:
        if "@" in text and not isinstance(error, NotFoundError):
            raise
        raise NotFoundError(
            f"{text!r} is neither a source nor a model. {error} Sources are folders, .npz files and "
            f"{', '.join(BUILTINS)}."
        ) from None


def generate_set(
    artifact: Artifact,
    count: int,
    *,
    seed: int,
    device: str = "auto",
    precision: str = "auto",
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> ImageSet:
    """``count`` images of a model, with labels in the proportions of its training data."""
    sampler = Sampler(artifact, device=device, precision=precision)
    images, labels = [], []
    for start in range(0, count, _CHUNK):
        progress(start / count, f"Generating {count:,} images")
        batch = sampler.generate(min(_CHUNK, count - start), labels="any", seed=seed, start=start)
        images.append(batch.images.cpu())
        if batch.labels is not None:
            labels.append(batch.labels.cpu())
    pixels = torch.cat(images)
    return ImageSet(
        images=pixels,
        labels=torch.cat(labels) if labels else None,
        ids=tuple(content_id(canonical(one)) for one in pixels.permute(0, 2, 3, 1).numpy()),
        classes=sampler.card.classes,
        source=f"{artifact.manifest.reference}, seed {seed}",
    )


def hold_out(real: ImageSet, generator: Artifact) -> tuple[ImageSet, ImageSet | None]:
    """The real images that a generator was trained on, and those that it was not.

    Where either are too few to measure with, all images stay together, and there is no holdout.
    """
    seen = generator.training_ids().contains(real.ids)
    if min(seen.sum(), (~seen).sum()) < MINIMUM:
        return real, None
    note = f"{(~seen).sum():,} real images that the generator was not trained on are the holdout"
    kept = replace(real.subset(seen.nonzero()[0]), notes=(*real.notes, note))
    return kept, replace(real.subset((~seen).nonzero()[0]), source=f"{real.source}, unseen part")


def _maker(source: str | Path, store: Store) -> Artifact | None:
    """The model in the store that made a data set of synth's."""
    folder = Path(source).expanduser()
    try:
        digest = read_manifest(folder).fingerprint.get("digest")
    except (NotFoundError, SourceError, OSError):
        return None
    for entry in store.list():
        if entry.card is not None and entry.card.digest == digest:
            return store.find(entry.reference)
    return None


def _choose(images: ImageSet, count: int | None, seed: int) -> ImageSet:
    if count is None or count >= len(images):
        return images
    rows = permutation(seed, 0, _CHOICE, len(images))[:count]
    note = f"{count:,} of {len(images):,} synthetic images, chosen at random"
    return replace(images.subset(sorted(rows.tolist())), notes=(*images.notes, note))
