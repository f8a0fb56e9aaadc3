"""One trained generator, loaded on one device."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

import synth
from synth.artifacts import Artifact, ModelCard, Store
from synth.batch import Batch, Fingerprint, Mode
from synth.errors import UsageError
from synth.labels import Labels, resolve_labels
from synth.models.program import Parameter, Translator
from synth.randomness import MAX_INDEX, check_seed
from synth.sampling import tuning_cache
from synth.sampling.core import EXACT_BUCKET
from synth.sampling.device import device_name, resolve_device, resolve_precision, use_granted_threads
from synth.sampling.generator import Images
from synth.sampling.load import load_model
from synth.sampling.prepare import prepare
from synth.sampling.tuning import COMPILE_SECONDS
from synth.text import closest

WARMUP_SECONDS = 2.0
"""Default budget for measuring: enough for small networks, not felt with large ones."""
_MOST_BYTES = 4 * 2**30
"""Most bytes of images that one call returns."""


class Sampler:
    """Makes images by key from one artifact on one device; see ``synth.sampling.Generator``.

    A sampler belongs to one thread at a time. It keeps no state between calls.
    """

    def __init__(
        self,
        artifact: Artifact,
        *,
        device: str = "auto",
        precision: str = "auto",
        warmup_seconds: float = WARMUP_SECONDS,
    ) -> None:
        """Load, and find out by measurement how the model is run fastest.

        Args:
            artifact: an opened one; see ``open``.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            precision: ``auto``, ``32``, ``bf16`` or ``16``.
            warmup_seconds: for measuring, once for each model, device and version of synth and torch: what is
                found is kept in SYNTH_HOME. From 60 seconds on compiled code is tried as well. 0 measures
                nothing.
        """
        self.device = resolve_device(device)
        self.artifact = artifact
        self._counts = artifact.manifest.training.class_counts
        use_granted_threads()
        self._core, self.precision = prepare(
            load_model(artifact), self.device, resolve_precision(precision, self.device)
        )
        self._warm_up(warmup_seconds)

    @classmethod
    def open(
        cls,
        reference: str | Path,
        *,
        store: Store | None = None,
        device: str = "auto",
        precision: str = "auto",
        warmup_seconds: float = WARMUP_SECONDS,
    ) -> Sampler:
        """Load ``NAME``, ``NAME@VERSION`` or the path of an artifact folder.

        Raises NotFoundError (no such model), ArtifactError (damaged), DeviceError (device or precision).
        """
        return cls(
            (store or Store()).open(reference),
            device=device,
            precision=precision,
            warmup_seconds=warmup_seconds,
        )

    @property
    def card(self) -> ModelCard:
        """Name, version, image shape, classes and origin of the model."""
        return self.artifact.card

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The sampling parameters that this model takes, with their ranges."""
        return self._core.program.parameters

    def fingerprint(self, mode: Mode = "fast") -> Fingerprint:
        """All that decides pixels besides key, label and parameters."""
        return Fingerprint(
            model=self.artifact.manifest.reference,
            digest=self.artifact.manifest.digest,
            torch=torch.__version__,
            device=self.device.type,
            precision=self.precision,
            mode=mode,
        )

    def explain(self) -> dict[str, Any]:
        """What was chosen for this model on this device, as plain data."""
        return {
            "model": self.card.as_dict(),
            "device": str(self.device),
            "precision": self.precision,
            "threads": torch.get_num_threads(),
            "exact": {"method": str(self._core.steady), "bucket": EXACT_BUCKET},
            "fast": None if self._core.tuning is None else self._core.tuning.model_dump(),
            "parameters": {parameter.name: parameter.default for parameter in self.parameters},
        }

    def generate(
        self,
        count: int,
        *,
        labels: Labels = "any",
        seed: int = 0,
        start: int = 0,
        mode: Mode = "fast",
        **parameters: float,
    ) -> Batch:
        """``count`` samples with the keys (seed, start) to (seed, start + count - 1).

        Args:
            count: 1 or more; the images of one call may take at most 4 GiB.
            labels: see ``synth.labels``.
            seed: 0 to 2**64 - 1.
            start: first index, 0 to 2**63 - 1.
            mode: ``fast``, or ``exact`` for equal bytes on one type of machine whatever the batching.
            parameters: by name, see ``self.parameters``.

        Raises:
            UsageError: count, seed, start, mode or a parameter out of range or unknown.
            LabelError: labels that the model does not have.
        """
        seed = check_seed(seed)
        index = self._check_keys(count, start, mode)
        values = self._check_parameters(parameters)
        return self._run(index, labels, None, seed, mode, values)

    def translate(
        self,
        images: Images,
        *,
        labels: Labels | None = None,
        seed: int = 0,
        start: int = 0,
        mode: Mode = "fast",
        **parameters: float,
    ) -> Batch:
        """One sample for each image: uint8, tensor [N, C, H, W] or numpy [N, H, W, C], of the model's shape.

        ``labels`` say what the images show; models with classes need them. For the rest, and for what is
        raised, see ``generate``.
        """
        if not isinstance(self._core.program, Translator):
            raise UsageError(f"{self.card.reference} makes images from nothing; it cannot translate.")
        inputs = self._check_images(images)
        seed = check_seed(seed)
        index = self._check_keys(len(inputs), start, mode)
        values = self._check_parameters(parameters)
        if labels is None and self.card.classes is not None:
            raise UsageError(f"{self.card.reference} has classes; say with labels what the images show.")
        return self._run(index, "any" if labels is None else labels, inputs, seed, mode, values)

    def stream(
        self,
        *,
        batch_size: int,
        labels: Labels = "any",
        seed: int = 0,
        start: int = 0,
        mode: Mode = "fast",
        **parameters: float,
    ) -> Iterator[Batch]:
        """Batches without end; the first sample has the key (seed, start). See ``generate``."""
        while True:
            yield self.generate(batch_size, labels=labels, seed=seed, start=start, mode=mode, **parameters)
            start += batch_size

    def _warm_up(self, seconds: float) -> None:
        if seconds <= 0:
            return
        key: tuning_cache.Key = {
            "digest": self.artifact.manifest.digest,
            "device": device_name(self.device),
            "threads": torch.get_num_threads(),
            "precision": self.precision,
            "compiles": seconds >= COMPILE_SECONDS,
            "torch": torch.__version__,
            "synth": synth.__version__,
        }
        known = tuning_cache.read(key)
        tuning = self._core.warm_up(seconds, known)
        if known is None:
            tuning_cache.write(self.artifact.manifest.reference, key, tuning)

    def _run(
        self,
        index: Tensor,
        labels: Labels,
        images: Tensor | None,
        seed: int,
        mode: Mode,
        parameters: Mapping[str, float],
    ) -> Batch:
        classes = resolve_labels(
            labels, classes=self.card.classes, index=index, seed=seed, proportions=self._counts
        )
        return Batch(
            self._core.run(index, classes, images, seed, mode, parameters),
            classes,
            index,
            seed,
            self.fingerprint(mode),
            classes=self.card.classes,
            parameters=parameters,
        )

    def _check_keys(self, count: int, start: int, mode: Mode) -> Tensor:
        """int64 [count]: the indices, after all values have been found good."""
        count, start = _whole_number("count", count), _whole_number("start", start)
        if count < 1:
            raise UsageError(f"count must be 1 or more, not {count}.")
        image = self.card.image
        most = _MOST_BYTES // (image.channels * image.height * image.width)
        if count > most:
            raise UsageError(
                f"{count:,} images of {image.height} x {image.width} are too many for one call; "
                f"ask for at most {most:,} at once, in parts with start=, or use synth generate."
            )
        if not 0 <= start <= MAX_INDEX - count:
            raise UsageError(f"start must be from 0 to {MAX_INDEX - count}, not {start}.")
        if mode not in get_args(Mode):
            raise UsageError(f"There is no mode {mode!r}; use fast or exact.")
        return torch.arange(start, start + count, dtype=torch.int64)

    def _check_parameters(self, given: Mapping[str, float]) -> dict[str, float]:
        known = {parameter.name: parameter for parameter in self.parameters}
        for name, value in given.items():
            if name not in known:
                raise UsageError(
                    f"{self.card.reference} has no parameter {name!r}{closest(name, known)}. "
                    f"Parameters: {', '.join(known) or 'none'}."
                )
            low, high = known[name].low, known[name].high
            if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high:
                raise UsageError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}.")
        return {name: float(given.get(name, parameter.default)) for name, parameter in known.items()}

    def _check_images(self, images: Images) -> Tensor:
        image = self.card.image
        wanted = [image.height, image.width, image.channels]
        if isinstance(images, Tensor):
            wanted = [image.channels, image.height, image.width]
        elif not isinstance(images, np.ndarray):
            raise UsageError(f"Images are a tensor or a numpy array, not {type(images).__name__}.")
        shape = list(images.shape)
        if str(images.dtype) not in ("torch.uint8", "uint8") or shape[1:] != wanted or not shape[0]:
            raise UsageError(
                f"{self.card.reference} translates one or more images in uint8 {['N', *wanted]}; "
                f"these are {images.dtype} {shape}."
            )
        # A copy: torch cannot look into every numpy array (read-only, turned upside down).
        return images if isinstance(images, Tensor) else torch.tensor(images.copy()).permute(0, 3, 1, 2)


def _whole_number(name: str, value: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise UsageError(f"{name} must be a whole number, not {value!r}.")
    return operator.index(value)
