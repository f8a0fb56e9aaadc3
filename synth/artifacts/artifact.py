"""One published model: a folder that is read and never changed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from safetensors import SafetensorError

from synth.artifacts.card import ModelCard
from synth.artifacts.draft import MANIFEST_FILE
from synth.artifacts.ids import TrainingIds
from synth.artifacts.manifest import SCHEMA, FileInfo, Manifest, generator_digest
from synth.errors import ArtifactError
from synth.families import generates, makes_images, require_generator, require_images
from synth.text import some

if TYPE_CHECKING:  # the store is listed without torch
    from torch import Tensor

_REMEDY = "Restore the folder from a copy, or train the model again."


@dataclass(frozen=True)
class Artifact:
    """A model on disk. Opening reads the manifest alone; the weights are read when asked for."""

    path: Path
    manifest: Manifest

    @staticmethod
    def open(path: Path) -> Artifact:
        """Read the manifest in the folder ``path``, and see that the files it names are there in full length.

        Raises ArtifactError, naming the file, where the folder is no artifact, or a damaged or newer one.
        """
        manifest = _read_manifest(path / MANIFEST_FILE)
        needed: list[FileInfo] = [manifest.weights, *manifest.files]
        for info in needed:
            size = _file_size(path / info.file)
            if size != info.bytes:
                fault = "is cut short" if size < info.bytes else "was changed"
                raise ArtifactError(
                    f"{path / info.file} {fault}: {size:,} bytes instead of {info.bytes:,}. {_REMEDY}"
                )
        _file_size(path / manifest.training.ids_file)
        return Artifact(path, manifest)

    @property
    def card(self) -> ModelCard:
        """What users and the API are told of it."""
        return ModelCard.of(self.manifest)

    @property
    def makes_images(self) -> bool:
        """Whether it makes images, from nothing or from others; an encoder does not."""
        return makes_images(self.manifest.family)

    @property
    def generates(self) -> bool:
        """Whether it makes images from nothing; an encoder does not, nor does a mere translator."""
        return generates(self.manifest.family)

    def require_images(self) -> None:
        """Raise UsageError, with what it is good for, where it makes no images."""
        require_images(self.manifest.family, self.manifest.reference)

    def require_generator(self) -> None:
        """Raise UsageError, with what it is good for, where it makes no images from nothing."""
        require_generator(self.manifest.family, self.manifest.reference)

    def weights(self) -> dict[str, Tensor]:
        """All tensors by name, on the CPU; ArtifactError where the file is not what was published."""
        from safetensors.torch import load

        path = self.path / self.manifest.weights.file
        data = _read_verified(path, self.manifest.weights.sha256)
        try:
            return load(data)
        except SafetensorError as error:
            raise ArtifactError(f"{path} is not a safetensors file ({error}). {_REMEDY}") from error

    def files(self) -> dict[str, bytes]:
        """The further files that the network needs; ArtifactError where one is not what was published."""
        return {info.file: _read_verified(self.path / info.file, info.sha256) for info in self.manifest.files}

    def statistics(self) -> bytes | None:
        """The file with statistics of the training images, or None; ``synth.evaluation.reference`` reads it.

        Raises ArtifactError where the file is not what was published.
        """
        info = self.manifest.statistics
        return None if info is None else _read_verified(self.path / info.file, info.sha256)

    def training_ids(self) -> TrainingIds:
        """The set of images it was trained on; ArtifactError where the file is not what was published."""
        path = self.path / self.manifest.training.ids_file
        data = _read_verified(path, self.manifest.training.ids_sha256)
        try:
            return TrainingIds.from_bytes(data)
        except (SafetensorError, KeyError, ValueError) as error:
            raise ArtifactError(f"{path} does not hold training ids ({error}). {_REMEDY}") from error


def _read_manifest(path: Path) -> Manifest:
    if not path.exists():
        raise ArtifactError(
            f"{path} is missing: {path.parent} is not a model of synth, or damaged. {_REMEDY}"
        )
    try:
        content = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is not JSON ({error}). {_REMEDY}") from error
    _check_schema(path, content)
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        faults = [": ".join([".".join(map(str, fault["loc"])), fault["msg"]]) for fault in error.errors()]
        raise ArtifactError(f"{path} does not fit schema {SCHEMA}: {some(faults, 5)}. {_REMEDY}") from error
    digest = generator_digest(
        family=manifest.family,
        network=manifest.network,
        image=manifest.image,
        classes=manifest.classes,
        weights_sha256=manifest.weights.sha256,
        files=manifest.files,
    )
    if digest != manifest.digest:
        raise ArtifactError(f"{path} was changed after publishing: its digest does not fit. {_REMEDY}")
    return manifest


def _check_schema(path: Path, content: Any) -> None:
    schema = content.get("schema_version") if isinstance(content, dict) else None
    if type(schema) is not int or schema < 1:
        raise ArtifactError(f"{path} is not a manifest of synth. Give the folder of a model of synth.")
    if schema > SCHEMA:
        raise ArtifactError(
            f"{path} was written by a newer synth: it has schema {schema}, this one reads up to {SCHEMA}. "
            "Upgrade synth."
        )


def _read_verified(path: Path, sha256: str) -> bytes:
    data = _read(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ArtifactError(f"{path} is damaged: its SHA-256 is not the one in {MANIFEST_FILE}. {_REMEDY}")
    return data


def _read(path: Path) -> bytes:
    _file_size(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"Cannot read {path}: {error.strerror}. {_REMEDY}") from error


def _file_size(path: Path) -> int:
    """Bytes of a regular file; ArtifactError where there is none (a pipe could be waited on for ever)."""
    try:
        if not path.is_file():
            raise ArtifactError(f"{path} is missing. {_REMEDY}")
        return path.stat().st_size
    except OSError as error:
        raise ArtifactError(f"Cannot read {path}: {error.strerror}. {_REMEDY}") from error
