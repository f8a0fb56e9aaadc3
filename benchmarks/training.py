"""The loop of ``synth train`` against a bare PyTorch loop of the same step: images per second, by family.

The same network, loss, optimiser, precision and weight average, in one process and in turns (A B A B), in the
middle of a training. The bare loop draws rows of the images in memory and does nothing else: no schedule, no
log, no guard against NaN, no saving. ``data`` is the share of a step that drawing a batch takes.

    python benchmarks/training.py                             all families, some 4 minutes each
    python benchmarks/training.py --families flow --device cuda
    python benchmarks/training.py --quick                     a minute; nothing is kept
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from record import write_result
from torch import Tensor
from worth.statistics import interval

from synth import resolve_recipe
from synth.data import ImageSet, load_images, open_source
from synth.sampling import resolve_device, resolve_precision
from synth.sampling.device import use_granted_threads
from synth.training.batches import KeyedBatches
from synth.training.budget import Budget
from synth.training.log import RunLog
from synth.training.loop import Interruption, Loop
from synth.training.module import FamilyModule
from synth.training.parts import Domains, Parts
from synth.training.preparing import build_module
from synth.training.recipe import Recipe
from synth.training.reporter import Silent
from synth.training.runs import new_run
from synth.training.team import Team
from synth.training.trainer import run_trainer

TARGET = 0.9
_LENGTH = 10_000_000
_VALIDATION = 3_000
"""Images that a family may watch itself by."""
_WARM = 5
"""Steps of each turn that are not counted."""


@dataclass(frozen=True)
class Case:
    """What is trained, and for how long in each turn."""

    family: str
    recipe: Recipe
    images: ImageSet
    device: torch.device
    seconds: float

    def module(self) -> FamilyModule:
        parts = Parts(self.images, self.images.subset(range(_VALIDATION)), "validation images")
        module = build_module(self.family, self.recipe, Domains(parts)).to(self.device)
        module.prepare(parts.training, parts.validation)
        return module

    def batches(self) -> KeyedBatches:
        return KeyedBatches(self.images, self.recipe.batch_size, self.recipe.seed, _LENGTH // 2)


class Watch:
    """Counts steps after the first few, until the time is up."""

    def __init__(self, case: Case) -> None:
        self._case, self._steps, self._began = case, 0, 0.0

    def step(self) -> bool:
        """Tell of a step; whether it was the last."""
        self._steps += 1
        if self._case.device.type == "cuda" and self._steps % 10 in (0, _WARM):
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._steps == _WARM:
            self._began = now
        self.seconds = now - self._began
        return self._steps > _WARM and self.seconds >= self._case.seconds

    @property
    def images_per_second(self) -> float:
        return (self._steps - _WARM) * self._case.recipe.batch_size / self.seconds


class Unseen:
    """In place of the observer: previews and measurements fall due a few times in a run, and none here."""

    def due(self, progress: float) -> bool:
        return False


class Watched(Loop):
    """The loop of ``synth train``, which ends when its watch says so."""

    watch: Watch

    def after_step(self, module: FamilyModule) -> bool:
        return super().after_step(module) or self.watch.step()


def ours(case: Case) -> float:
    """Images per second of ``synth train``, saving every minute and logging as it does."""
    with tempfile.TemporaryDirectory() as folder:
        run = new_run("benchmark", Path(folder))
        budget = Budget(case.recipe, images_seen=_LENGTH // 2)
        with RunLog(run.path, 0) as log:
            loop = Watched(run, budget, log, Unseen(), Silent(), Interruption(run, ""), 60.0, None, Team())
            loop.watch = Watch(case)
            run_trainer(case.module(), case.batches(), loop, case.recipe, case.device, Team())
    return loop.watch.images_per_second


def bare(case: Case) -> float:
    """Images per second of the step alone."""
    module, watch = case.module().train(), Watch(case)
    module.progress = 0.5
    step = step_of(module)
    images, labels = case.images.images, case.images.labels
    size, seen = case.recipe.batch_size, _LENGTH // 2
    for rows in slices(len(images), size):
        batch = images[rows].to(case.device).float() / 127.5 - 1.0
        seen += size
        step(
            batch,
            None if labels is None else labels[rows].to(case.device),
            torch.arange(seen - size, seen, device=case.device),
        )
        module.update_average(seen, size)
        if watch.step():
            return watch.images_per_second
    raise AssertionError("slices have no end")


def slices(count: int, size: int) -> Iterator[Tensor]:
    """Rows of batches, in a new order for each epoch."""
    while True:
        yield from torch.randperm(count)[: count - count % size].split(size)


def step_of(module: FamilyModule) -> Any:
    """The family's step on images in [-1, 1], labels and positions, without Lightning."""
    optimisers = module.configure_optimizers()
    cast(Any, module).optimizers = lambda *_: optimisers  # some ask their trainer, which a bare loop has not
    if not module.automatic_optimization:
        raise SystemExit(f"The step of {module.family} is not known to this benchmark.")

    def step(images: Tensor, labels: Tensor | None, position: Tensor) -> None:
        with module.autocast():
            loss, _ = module.loss(images, labels, position)
        optimisers.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        module.on_before_optimizer_step(optimisers)
        optimisers.step()

    return step


def data_seconds(case: Case) -> float:
    """Of drawing one batch."""
    batches = iter(case.batches())
    next(batches)
    began, count = time.perf_counter(), 50
    for _ in itertools.islice(batches, count):
        pass
    return (time.perf_counter() - began) / count


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """Both, in turns."""
    rates: dict[str, list[float]] = {"synth": [], "bare": []}
    for _ in range(rounds):
        rates["synth"].append(ours(case))
        rates["bare"].append(bare(case))
        print(f"{case.family}: {rates['synth'][-1]:.0f} and {rates['bare'][-1]:.0f} images/s", flush=True)
    ratio = interval([a / b for a, b in zip(rates["synth"], rates["bare"], strict=True)])
    step_seconds = case.recipe.batch_size / max(rates["synth"])
    return {
        "family": case.family,
        "precision": case.recipe.precision,
        "batch_size": case.recipe.batch_size,
        "images_per_second": rates,
        "ratio": ratio,
        "target": TARGET,
        "data_share_of_step": data_seconds(case) / step_seconds,
    }


def main() -> None:
    """Measure the families, keep the results and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", default="vae,gan,flow", help="separated by commas")
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="of the recipe")
    parser.add_argument("--quick", action="store_true", help="short turns; nothing is kept")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.rounds = 5.0, 2
    device = resolve_device(options.device)
    use_granted_threads()
    images = load_images(open_source(options.data))
    for family in options.families.split(","):
        flags = {"images_seen": _LENGTH, "precision": resolve_precision("auto", device)}
        recipe = resolve_recipe(family, overrides=options.set, flags=flags)
        figures = measure(Case(family, recipe, images, device, options.seconds), options.rounds)
        print(json.dumps(figures, indent=2), flush=True)
        if not options.quick:
            suffix = "-cuda" if device.type == "cuda" else ""
            write_result(f"training-{family}{suffix}", figures)


if __name__ == "__main__":
    main()
