"""One trained generator, loaded on one device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import synth
from synth.artifacts import Artifact, Store
from synth.batch import Batch, Mode, Parameters
from synth.labels import Labels
from synth.sampling import tuning_cache
from synth.sampling.device import device_name, resolve_device, resolve_precision, use_granted_threads
from synth.sampling.generator import Images, Value
from synth.sampling.load import load_model
from synth.sampling.planner import Planner, Traits
from synth.sampling.prepare import prepare
from synth.sampling.rows import Rows, Wanted, Work
from synth.sampling.tuning import COMPILE_SECONDS

WARMUP_SECONDS = 2.0
"""Default budget for measuring: enough for small networks, not felt with large ones."""


class Sampler(Planner):
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
        super().__init__(artifact)
        self.device = resolve_device(device)
        use_granted_threads()
        self._core, self.precision = prepare(
            load_model(artifact), self.device, resolve_precision(precision, self.device)
        )
        self._traits: Traits | None = None
        self._warmup_seconds = warmup_seconds
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

    def __reduce__(self) -> tuple[Callable[[], Sampler], tuple[()]]:
        """In another process it is opened anew, from the same folder."""
        return partial(
            Sampler.open,
            self.artifact.path,
            device=str(self.device),
            precision=self.precision,
            warmup_seconds=self._warmup_seconds,
        ), ()

    @property
    def concurrent(self) -> bool:
        # Compiled code keeps its buffers for one thread.
        tuning = self._core.tuning
        return self.device.type == "cpu" and (tuning is None or tuning.method.engine == "eager")

    @property
    def traits(self) -> Traits:
        if (
            self._traits is None or self._traits.costs is not self._core.costs
        ):  # which running out of memory changes
            program = self._core.program
            self._traits = Traits(
                device=self.device.type,
                precision=self.precision,
                parameters=program.parameters,
                costs=self._core.costs,
                resizing=self._core.resizing,
            )
        return self._traits

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
        **parameters: float | str,
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
        **parameters: Value,
    ) -> Batch:
        """One sample for each image: uint8, tensor [N, C, H, W] or numpy [N, H, W, C], of the model's shape.

        Models whose program is ``Resizable`` take any height and width from 8 pixels on, and give images of
        the same size; large ones are translated in overlapping tiles.
        ``labels`` say what the images show; models with classes need them. A parameter that takes pictures is
        given one or a list of them, uint8, tensors [C, H, W] or arrays [H, W, C] of any size. For the rest,
        and for what is raised, see ``generate``.
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
        **parameters: float | str,
    ) -> Iterator[Batch]:
        """Batches without end; the first sample has the key (seed, start). See ``generate``."""
        while True:
            yield self.generate(batch_size, labels=labels, seed=seed, start=start, mode=mode, **parameters)
            start += batch_size

    def run(self, rows: Rows, mode: Mode, parameters: Parameters, *, wanted: Wanted | None = None) -> Tensor:
        return self._core.run(rows, mode, parameters, wanted)

    def steps(self, parameters: Parameters) -> int:
        return self._core.program.steps(parameters)

    def style(self, pictures: Sequence[np.ndarray], parameters: Parameters) -> Tensor:
        return self._core.style(pictures, parameters)

    @property
    def memory_bytes(self) -> int:
        return self._core.memory_bytes

    def _make(self, work: Work) -> Batch:
        return self.batch(work, self.run(work.rows, work.mode, work.parameters))

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
