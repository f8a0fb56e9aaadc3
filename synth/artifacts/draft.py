"""What training hands over to be published."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import synth
from synth.artifacts.classifier_card import classifier_readme
from synth.artifacts.ids import TrainingIds
from synth.artifacts.manifest import (
    FileInfo,
    ImageInfo,
    Manifest,
    Metric,
    Origin,
    StatisticsInfo,
    TargetInfo,
    TrainingInfo,
    WeightsInfo,
    generator_digest,
)
from synth.artifacts.readme import readme

if TYPE_CHECKING:  # the store is listed without torch
    from PIL.Image import Image
    from torch import Tensor

MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "weights.safetensors"
IDS_FILE = "training_ids.safetensors"
README_FILE = "README.md"
PREVIEW_FILE = "preview.png"
STATISTICS_FILE = "reference.json"


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A generator that is not published yet: everything of an artifact that training knows."""

    family: str
    network: Mapping[str, Any]
    """Plain JSON values: what the network is built from."""
    image: ImageInfo
    classes: Sequence[str] | None
    weights: Mapping[str, Tensor]
    """All that sampling needs, by name; any device, type and layout."""
    parameters: int
    """Number of trained values in the network."""
    recipe: Mapping[str, Any]
    """Plain JSON values: the resolved training recipe."""
    source: str
    """The source of the training images, as the user wrote it."""
    images: int
    images_seen: int
    seconds: float
    ids: Sequence[str]
    """Content hash (SHA-256, hexadecimal) of each training image, of both domains where there are two."""
    class_counts: Sequence[int] | None
    """Training images of each class; None where there are no classes."""
    pixel_mean: Sequence[float]
    """For each channel over the training images, 0 to 1; so is ``pixel_std``."""
    pixel_std: Sequence[float]
    target: TargetInfo | None = None
    """The second domain of a translator."""
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    preview: Image | None = None
    statistics: Mapping[str, Any] | None = None
    """Plain JSON values: what the training images look like, see ``synth.evaluation.reference``; of two
    domains, those of the second, which is what the model makes."""
    origin: Origin | None = None
    """The model whose weights the training started from."""
    earlier_ids: TrainingIds = field(default_factory=lambda: TrainingIds.of(()))
    """Images that the origin was trained on; they count as training images of this one, too."""
    made_with: Sequence[str] = ("torch", "lightning", "numpy")
    """Packages whose versions are to be told."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Further files that the network needs, by name."""
    announce: Callable[[str, str], None] | None = None
    """Called with NAME@VERSION and digest just before it appears: who is killed then can find out whether."""

    def payload(self) -> dict[str, bytes]:
        """The files that do not depend on name and version: weights, ids, preview and statistics, by name."""
        from safetensors.torch import save

        # Copies: safetensors refuses tensors that share memory or are laid out otherwise than row by row.
        weights = {
            name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in self.weights.items()
        }
        files = {WEIGHTS_FILE: save(weights), IDS_FILE: self._training_ids().to_bytes()}
        if self.preview is not None:
            buffer = io.BytesIO()
            self.preview.save(buffer, format="PNG")
            files[PREVIEW_FILE] = buffer.getvalue()
        if self.statistics is not None:
            text = json.dumps(dict(self.statistics), separators=(",", ":"), allow_nan=False)
            files[STATISTICS_FILE] = text.encode()
        assert not files.keys() & self.files.keys()
        return {**files, **self.files}

    def describe(self, name: str, number: int, payload: Mapping[str, bytes]) -> dict[str, bytes]:
        """The files that do: the manifest and the model card of version ``number`` of ``name``."""
        manifest = self._manifest(name, number, payload)
        text = manifest.model_dump_json(indent=2) + "\n"
        write = classifier_readme if self.family == "classifier" else readme
        card = write(manifest, preview=PREVIEW_FILE in payload)
        return {MANIFEST_FILE: text.encode(), README_FILE: card.encode()}

    def _training_ids(self) -> TrainingIds:
        return TrainingIds.of(self.ids).union(self.earlier_ids)

    def _manifest(self, name: str, number: int, payload: Mapping[str, bytes]) -> Manifest:
        weights, ids = payload[WEIGHTS_FILE], payload[IDS_FILE]
        weights_sha256 = hashlib.sha256(weights).hexdigest()
        network = _plain_json(self.network)
        classes = None if self.classes is None else list(self.classes)
        files = [
            FileInfo(file=file, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
            for file, data in sorted(self.files.items())
        ]
        return Manifest(
            name=name,
            version=number,
            family=self.family,
            network=network,
            image=self.image,
            classes=classes,
            weights=WeightsInfo(
                file=WEIGHTS_FILE, sha256=weights_sha256, bytes=len(weights), parameters=self.parameters
            ),
            digest=generator_digest(
                family=self.family,
                network=network,
                image=self.image,
                classes=classes,
                weights_sha256=weights_sha256,
                files=files,
            ),
            recipe=_plain_json(self.recipe),
            training=TrainingInfo(
                # A path may hold bytes that are no text.
                source=self.source.encode(errors="replace").decode(),
                images=self.images,
                images_seen=self.images_seen,
                seconds=self.seconds,
                ids_file=IDS_FILE,
                ids_sha256=hashlib.sha256(ids).hexdigest(),
                class_counts=None if self.class_counts is None else list(self.class_counts),
                pixel_mean=list(self.pixel_mean),
                pixel_std=list(self.pixel_std),
                target=_plain_target(self.target),
            ),
            metrics=dict(self.metrics),
            statistics=_statistics_info(payload),
            origin=self.origin,
            files=files,
            libraries=_libraries(self.made_with),
            created=datetime.now(UTC).replace(microsecond=0),
        )


def _plain_target(target: TargetInfo | None) -> TargetInfo | None:
    """With a source that is text: a path may hold bytes that are none."""
    if target is None:
        return None
    return target.model_copy(update={"source": target.source.encode(errors="replace").decode()})


def _statistics_info(payload: Mapping[str, bytes]) -> StatisticsInfo | None:
    data = payload.get(STATISTICS_FILE)
    return None if data is None else StatisticsInfo(sha256=hashlib.sha256(data).hexdigest())


def _plain_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they will be read back; TypeError or ValueError where JSON cannot hold them."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(values), allow_nan=False))
    return plain


def _libraries(names: Sequence[str]) -> dict[str, str]:
    return {"synth": synth.__version__} | {name: version(name) for name in names}
