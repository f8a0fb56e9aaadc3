"""One trained generator, loaded on one device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import synth
from synth.artifacts import Artifact, ModelCard, Store
from synth.batch import Batch, Fingerprint, Mode
from synth.errors import UsageError
from synth.labels import Labels, resolve_labels
from synth.models.program import Parameter, Translator
from synth.randomness import check_seed
from synth.sampling import tuning_cache
from synth.sampling.device import device_name, resolve_device, resolve_precision, use_granted_threads
from synth.sampling.generator import Images
from synth.sampling.load import load_model
from synth.sampling.prepare import prepare
from synth.sampling.requests import check_images, check_keys, check_parameters
from synth.sampling.rows import Rows, Wanted, Work
from synth.sampling.tuning import COMPILE_SECONDS

WARMUP_SECONDS = 2.0
"""Default budget for measuring: enough for small networks, not felt with large ones."""


class Sampler:
    """Makes images by key from one artifact on one device; see ``synth.sampling.Generator``.

    A sampler belongs to one thread at a time, except for what ``concurrent`` says. It keeps no state between
    calls.
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
    def concurrent(self) -> bool:
        """Whether several threads may call ``run`` at once: on a CPU, unless the code is compiled."""
        tuning = self._core.tuning
        return self.device.type == "cpu" and (tuning is None or tuning.method.engine == "eager")

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
            "memory_bytes": self.memory_bytes,
            "exact": {"method": str(self._core.steady), "bucket": self._core.exact_bucket},
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
        work = self.plan(count, labels=labels, seed=seed, start=start, mode=mode, parameters=parameters)
        return self._make(work)

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
        work = self.plan(
            None, labels=labels, seed=seed, start=start, mode=mode, images=images, parameters=parameters
        )
        return self._make(work)

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

    def plan(
        self,
        count: int | None,
        *,
        labels: Labels | None = "any",
        seed: int = 0,
        start: int = 0,
        mode: Mode = "fast",
        images: Images | None = None,
        parameters: Mapping[str, float] | None = None,
    ) -> Work:
        """A request in the form that ``run`` takes, with all its values found good; for any thread.

        Arguments and errors are those of ``generate`` or, with ``images`` in place of a count, of
        ``translate``.
        """
        seed = check_seed(seed)
        pixels = None if images is None else self._check_translation(images, labels)
        index = check_keys(self.card, count if pixels is None else len(pixels), start, mode)
        values = check_parameters(self.card, self.parameters, parameters or {})
        classes = resolve_labels(
            "any" if labels is None and pixels is not None else labels,  # type: ignore[arg-type]
            classes=self.card.classes,
            index=index,
            seed=seed,
            proportions=self._counts,
        )
        return Work(Rows.of(seed, index, classes, pixels), seed, mode, values)

    def run(
        self, rows: Rows, mode: Mode, parameters: Mapping[str, float], *, wanted: Wanted | None = None
    ) -> Tensor:
        """uint8 [N, C, H, W] on the CPU, for the rows of one planned request or of several together.

        ``wanted`` is asked between buckets and between the steps of samplers that have several: rows that
        nobody waits for any more are left out, and their pixels are undefined. Raises DeviceError.
        """
        return self._core.run(rows, mode, parameters, wanted)

    def batch(self, work: Work, pixels: Tensor) -> Batch:
        """The answer to a planned request whose pixels were made."""
        return Batch(
            pixels,
            work.rows.labels,
            work.rows.index,
            work.seed,
            self.fingerprint(work.mode),
            classes=self.card.classes,
            parameters=work.parameters,
            translated=work.rows.images is not None,
        )

    def cost(self, count: int, mode: Mode = "fast") -> float:
        """Predicted seconds of device time, from what warm-up measured; 0.0 where it measured nothing."""
        return self._core.cost(count, mode)

    def best_bucket(self, mode: Mode = "fast") -> int:
        """How many samples at once take the least time for each, by what warm-up measured."""
        tuning = self._core.tuning
        if mode == "exact" or tuning is None:
            return self._core.exact_bucket
        return min(tuning.seconds, key=lambda size: tuning.seconds[size] / size)

    @property
    def memory_bytes(self) -> int:
        """Bytes of weights and of the activations of the largest bucket, as far as modules tell."""
        return self._core.memory_bytes

    def _make(self, work: Work) -> Batch:
        return self.batch(work, self.run(work.rows, work.mode, work.parameters))

    def _check_translation(self, images: Images, labels: Labels | None) -> Tensor:
        if not isinstance(self._core.program, Translator):
            raise UsageError(f"{self.card.reference} makes images from nothing; it cannot translate.")
        pixels = check_images(self.card, images)
        if labels is None and self.card.classes is not None:
            raise UsageError(f"{self.card.reference} has classes; say with labels what the images show.")
        return pixels

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
