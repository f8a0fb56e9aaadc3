"""Part ``operations``: images/s on one core, beside torchvision.transforms.v2, kornia and albumentations.

Ours is ``Pipeline.run`` on samples with their ids; single images also go through ``as_transform``, which
hashes each one for its id. torchvision has one call for each image, since its transforms draw one parameter
for all that they are given (what that is worth is told too, as ``torchvision batched``). ``kernel`` is the
operation alone with parameters that were drawn before, ``applied`` the pipeline with such, and ``planned``
its checks, keys and plan. In turns (A B A B), by processor time, with one thread each.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from types import ModuleType
from typing import Any

import torch
from record import write_result

from augmenting.cases import CASES, Case
from augmenting.timing import Call, rates, ratio
from synth.augment import Pipeline, Samples
from synth.augment.checks import checked
from synth.integrations.torch import as_transform

RESULT = "augment-operations"
SHAPES = {
    "one of 32 px": (1, 32),
    "one of 224 px": (1, 224),
    "256 of 32 px": (256, 32),
    "8 of 224 px": (8, 224),
}
"""By name: images in a batch, and pixels a side."""
PIPELINES = ("basic", "randaugment")
"""Of which the share of what is not the operations is told."""
_DIFFERENT = 64
"""Images at least, so that a pipeline meets what it does rarely, too."""
_LONGER = 8
"""How much longer turns of pipelines and policies are, for the same reason."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default="", metavar="NAME,...", help="operations; all by default")
    parser.add_argument("--seconds", type=float, default=0.005, help="of each turn")
    parser.add_argument("--rounds", type=int, default=5)


def run(options: argparse.Namespace) -> None:
    """Measure, print each line, and keep the result where all operations were measured."""
    names = options.only.split(",") if options.only else list(CASES)
    if options.quick:
        names, options.seconds, options.rounds = names[:3], 0.001, 1
    torch.set_num_threads(1)
    libraries = _libraries()
    lines = {name: measure(CASES[name], libraries, options, name) for name in names}
    figures = {
        "threads": 1,
        "clock": "processor time",
        "rounds": options.rounds,
        "seconds_of_a_turn": options.seconds,
        "operations": lines,
    }
    if not options.quick and not options.only:
        write_result(RESULT, figures, options.results)


def measure(
    case: Case, libraries: dict[str, ModuleType], options: argparse.Namespace, name: str
) -> dict[str, Any]:
    """By shape: images/s of each contender, and ratios of ours to each."""
    found = {}
    for shape, (count, side) in SHAPES.items():
        seconds = options.seconds * (_LONGER if case.varied else 1)
        turns = rates(contenders(case, libraries, count, side), count, seconds, options.rounds)
        cell: dict[str, Any] = {
            "images_per_second": {one: round(median(values)) for one, values in turns.items()},
            "ratio": {
                one: round(ratio(turns, "Pipeline.run", one), 3)
                for one in turns
                if one in ("torchvision", *libraries)
            },
        }
        if "as_transform" in turns and "torchvision" in turns:
            cell["as_transform_ratio"] = round(ratio(turns, "as_transform", "torchvision"), 3)
        if name in PIPELINES:
            cell["own_cost"] = round(ratio(turns, "Pipeline.run", "planned"), 3)
        found[shape] = cell
        print(f"{name:22} {shape:14} {cell['ratio']} {cell['images_per_second']}", flush=True)
    return found


def contenders(case: Case, libraries: dict[str, ModuleType], count: int, side: int) -> dict[str, Call]:
    """All that can do it, each a call that augments ``count`` images."""
    draw = torch.Generator().manual_seed(0)
    # Smooth in places, as photographs are, since JPEG and histograms depend on it.
    coarse = torch.rand((max(count, _DIFFERENT), 3, side // 4, side // 4), generator=draw)
    images = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear").mul(255).to(torch.uint8)
    batches = list(images.split(count))
    pipeline = Pipeline.read(case.pipeline)
    samples = [
        Samples(batch, tuple(f"{number * count + row:064x}" for row in range(count)))
        for number, batch in enumerate(batches)
    ]
    plans = [(one, pipeline.plan(one)) for one in samples]
    found: dict[str, Call] = {
        "Pipeline.run": _in_turn(pipeline.run, samples),
        "planned": _in_turn(lambda one: pipeline.plan(checked(one)), samples),
        "applied": _in_turn(lambda pair: pipeline.apply(*pair), plans),
    }
    if count == 1:
        found["as_transform"] = _in_turn(as_transform(pipeline), list(images))
    if len(pipeline.specification.sample) == 1:
        found["kernel"] = _in_turn(
            lambda pair: pair[1][0].operation.apply(pair[0], pair[1][0].parameters), plans
        )
    if case.torchvision is not None:
        theirs = case.torchvision(side)
        if count == 1:
            found["torchvision"] = _in_turn(theirs, list(images))
        else:
            found["torchvision"] = _in_turn(lambda batch: torch.stack([*map(theirs, batch)]), batches)
            found["torchvision batched"] = _in_turn(theirs, batches)
    if case.kornia is not None and "kornia" in libraries:
        found["kornia"] = _in_turn(case.kornia(libraries["kornia"], side), [batch / 255 for batch in batches])
    if case.albumentations is not None and "albumentations" in libraries:
        call = case.albumentations(libraries["albumentations"], side)
        arrays = [one.permute(1, 2, 0).contiguous().numpy() for one in images]
        lists = [arrays[at : at + count] for at in range(0, len(arrays), count)]
        found["albumentations"] = _in_turn(lambda some: [*map(call, some)], lists)
    return found


def _in_turn(call: Callable[[Any], object], inputs: list[Any]) -> Call:
    each = itertools.cycle(inputs)
    return lambda: call(next(each))


def _libraries() -> dict[str, ModuleType]:
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries that are frozen
        for name, module in (("kornia", "kornia.augmentation"), ("albumentations", "albumentations")):
            try:
                version(name)
            except PackageNotFoundError:
                print(f"{name} is not installed, and left out", flush=True)
                continue
            found[name] = importlib.import_module(module)
    if "albumentations" in found:
        importlib.import_module("cv2").setNumThreads(1)
    return found
