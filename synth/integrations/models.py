"""The generator of a stream, in whichever process it is needed."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

from synth.artifacts import Store
from synth.errors import DeviceError
from synth.sampling import Sampler
from synth.sampling.generator import Generator


class Model:
    """A generator that each process opens for itself: workers share neither threads nor connections.

    Args:
        model: a sampler, a remote model, or a reference to a model of the store, which is loaded when its
            first image is needed.
        device: for a reference: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises NotFoundError and ArtifactError for a reference, UsageError for a model that generates nothing.
    """

    def __init__(self, model: Generator | str | Path, device: str) -> None:
        self._here: Generator | None = None
        self._device = device if isinstance(model, (str, Path)) else str(getattr(model, "device", "cpu"))
        if isinstance(model, (str, Path)):
            artifact = Store().open(model)
            artifact.require_generator()
            self.card = artifact.card
            self._open: Callable[[], Generator] = partial(Sampler.open, artifact.path, device=device)
        else:
            self.card, self._here = model.card, model
            self._open = _opener(model)
        self._process = os.getpid()

    def get(self) -> Generator:
        """The one of this process; raises DeviceError where it cannot use the device that it should."""
        if self._here is None or self._process != os.getpid():
            # Where there is no GPU, CUDA may have been asked for one before the fork.
            if self._device != "cpu" and torch.cuda._is_in_bad_fork() and torch.cuda.device_count():
                raise DeviceError(
                    f"CUDA was used before this worker was forked, which cannot use it for "
                    f"{self.card.reference} now. Give the DataLoader multiprocessing_context='spawn', or the "
                    "stream device='cpu'."
                )
            # A loader gives each of its workers one thread, and a sampler takes all that the machine has.
            threads = torch.get_num_threads()
            self._here = self._open()
            if torch.utils.data.get_worker_info() is not None:
                torch.set_num_threads(threads)
            self._process = os.getpid()
        return self._here

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_here": None}


def _opener(model: Generator) -> Callable[[], Generator]:
    if type(model).__reduce__ is not object.__reduce__:
        # As samplers and remote models say how one is opened elsewhere.
        function, arguments = cast("tuple[Callable[..., Generator], tuple[Any, ...]]", model.__reduce__())
        return partial(function, *arguments)
    return partial(copy.copy, model)
