"""One trained generator, loaded on one device."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from synth.artifacts import Artifact, ModelCard, Store
from synth.batch import Batch, Fingerprint, Mode
from synth.errors import UsageError
from synth.labels import Labels, resolve_labels
from synth.models.program import Parameter, Program
from synth.randomness import MAX_INDEX, check_seed
from synth.sampling.device import DTYPES, resolve_device, resolve_precision
from synth.sampling.generator import Images
from synth.sampling.load import load_program
from synth.sampling.noise import draw_noise
from synth.text import closest

_BUCKET = 64
"""Samples that run through the network at once; in mode ``exact`` always just so many."""
_MOST_BYTES = 4 * 2**30
"""Most bytes of images that one call returns."""


class Sampler:
    """Makes images by key from one artifact on one device; see ``synth.sampling.Generator``.

    A sampler belongs to one thread at a time. It keeps no state between calls.
    """

    def __init__(self, artifact: Artifact, *, device: str = "auto", precision: str = "auto") -> None:
        self.device = resolve_device(device)
        self.precision = resolve_precision(precision, self.device)
        self.artifact = artifact
        self._dtype = DTYPES[self.precision]
        self._program: Program = load_program(artifact, self.device, self._dtype)
        self._counts = artifact.manifest.training.class_counts

    @classmethod
    def open(
        cls,
        reference: str | Path,
        *,
        store: Store | None = None,
        device: str = "auto",
        precision: str = "auto",
    ) -> Sampler:
        """Load ``NAME``, ``NAME@VERSION`` or the path of an artifact folder.

        Raises NotFoundError (no such model), ArtifactError (damaged), DeviceError (device or precision).
        """
        return cls((store or Store()).open(reference), device=device, precision=precision)

    @property
    def card(self) -> ModelCard:
        """Name, version, image shape, classes and origin of the model."""
        return self.artifact.card

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The sampling parameters that this model takes, with their ranges."""
        return self._program.parameters

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
            "bucket": _BUCKET,
            "threads": torch.get_num_threads(),
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
        classes = self._resolve(labels, index, seed)
        images = torch.cat(
            [
                self._run(rows, None if classes is None else classes[at], seed, mode, values, None)
                for at, rows in _buckets(index)
            ]
        )
        return self._batch(images, classes, index, seed, mode, values)

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
        if not hasattr(self._program, "begin_from"):
            raise UsageError(f"{self.card.reference} makes images from nothing; it cannot translate.")
        inputs = self._check_images(images)
        seed = check_seed(seed)
        index = self._check_keys(len(inputs), start, mode)
        values = self._check_parameters(parameters)
        if labels is None and self.card.classes is not None:
            raise UsageError(f"{self.card.reference} has classes; say with labels what the images show.")
        classes = self._resolve("any" if labels is None else labels, index, seed)
        outputs = torch.cat(
            [
                self._run(rows, None if classes is None else classes[at], seed, mode, values, inputs[at])
                for at, rows in _buckets(index)
            ]
        )
        return self._batch(outputs, classes, index, seed, mode, values)

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

    def _resolve(self, labels: Labels, index: Tensor, seed: int) -> Tensor | None:
        return resolve_labels(
            labels, classes=self.card.classes, index=index, seed=seed, proportions=self._counts
        )

    @torch.inference_mode()
    def _run(
        self,
        index: Tensor,
        labels: Tensor | None,
        seed: int,
        mode: Mode,
        parameters: Mapping[str, float],
        images: Tensor | None,
    ) -> Tensor:
        """uint8 [n, C, H, W] for at most one bucket of keys."""
        count = len(index)
        if mode == "exact" and count < _BUCKET:
            # Kernels choose their order of summation by shape; a fixed shape keeps the bytes.
            index = torch.cat([index, index[-1:].expand(_BUCKET - count)])
            if labels is not None:
                labels = torch.cat([labels, labels[-1:].expand(_BUCKET - count)])
            if images is not None:
                images = torch.cat([images, images[-1:].expand(_BUCKET - count, -1, -1, -1)])
        program = self._program
        index = index.to(self.device)
        labels = None if labels is None else labels.to(self.device)
        noise = draw_noise(program.noise, seed, index)
        if images is None:
            state = program.begin(noise, labels, parameters)
        else:
            pixels = images.to(self.device).to(self._dtype) / 127.5 - 1.0
            state = program.begin_from(pixels, noise, labels, parameters)  # type: ignore[attr-defined]
        for i in range(program.steps(parameters)):
            state = program.step(i, state, labels, parameters)
        return to_uint8(program.image(state)[:count]).cpu()

    def _batch(
        self,
        images: Tensor,
        labels: Tensor | None,
        index: Tensor,
        seed: int,
        mode: Mode,
        parameters: Mapping[str, float],
    ) -> Batch:
        return Batch(
            images,
            labels,
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


def to_uint8(image: Tensor) -> Tensor:
    """float [N, C, H, W] in [-1, 1] to uint8; -1 is 0 and 1 is 255."""
    return image.float().add(1.0).mul(127.5).round().clamp_(0, 255).to(torch.uint8)


def _buckets(index: Tensor) -> Iterator[tuple[slice, Tensor]]:
    for number in range(math.ceil(len(index) / _BUCKET)):
        at = slice(number * _BUCKET, (number + 1) * _BUCKET)
        yield at, index[at]


def _whole_number(name: str, value: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise UsageError(f"{name} must be a whole number, not {value!r}.")
    return operator.index(value)
