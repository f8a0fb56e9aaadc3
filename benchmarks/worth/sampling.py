"""Part ``sampling``: images per second of the sampler over a plain loop, at equal worth for training.

The plain loop is what one writes first: Heun's method in 8 steps (16 network calls), eager, in bf16. It and
the sampler at its candidate settings make images in turns (A B A B); then each makes a whole set, which is
held to TSTR. The fastest setting counts whose TSTR is within half a point of the plain loop's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from synth.artifacts import Artifact
from synth.data import ImageSet
from synth.models.flow import Flow
from synth.sampling import Sampler, resolve_device
from synth.sampling.device import use_granted_threads
from synth.sampling.load import load_network
from worth.commands import train
from worth.ledger import Ledger, Row
from worth.statistics import interval, told
from worth.yardstick import QUICK, Extent, Yardstick, held_out

STEPS = 8
TARGET = 6.0
POINTS = 0.005
CANDIDATES = ("solver=student", *(f"solver=multistep,steps={steps}" for steps in (3, 4, 6, 8)))
_BATCH = 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--families", default="flow", help="one family with a velocity")
    parser.add_argument("--minutes", type=float, default=10.0, help="training, where there is no --model yet")
    parser.add_argument("--model", type=Path, help="folder of a trained artifact; default: train one")
    parser.add_argument("--count", type=int, default=10_000, help="images of each set")
    parser.add_argument("--timed", type=int, default=512, help="images of each timed turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each, for each seed")
    parser.add_argument("--settings", nargs="+", default=list(CANDIDATES), metavar="K=V[,K=V]")
    parser.add_argument("--warmup-seconds", type=float, default=75.0, help="of the sampler")


def run(options: argparse.Namespace) -> None:
    """Set by set."""
    if options.quick:
        options.minutes, options.count, options.timed, options.rounds = 0.25, 256, 128, 1
        options.settings, options.warmup_seconds = ["solver=student"], 2.0
    extent = QUICK if options.quick else Extent()
    family = options.families
    if options.model is None:
        artifact = train(options.out, family, options.data, options.minutes, 0, options.device)
    else:
        artifact = Artifact.open(options.model)
    use_granted_threads()
    yardstick = Yardstick(options.data, held_out(options), options.out, extent, options.device)
    sampler = Sampler(artifact, device=options.device, warmup_seconds=options.warmup_seconds)
    ways: dict[str, Callable[[int, int], ImageSet]] = {"plain": plain_loop(artifact, options, yardstick)}
    for setting in options.settings:
        ways[setting] = through_sampler(sampler, setting, yardstick)
    device = "-cuda" if options.device.startswith("cuda") else ""
    names = ("data", "minutes", "count", "timed", "rounds", "settings")
    ledger = Ledger(
        f"quality-sampling-{Path(options.data).stem}-{family}{device}",
        {
            "family": family,
            **{name: getattr(options, name) for name in names},
            "model": artifact.manifest.digest,
            "extent": vars(extent),
        },
        summarise,
        folder=options.results,
        keep=not options.quick,
        fresh=options.fresh,
    )
    for seed in ledger.missing(options.seed_range):
        ledger.add(measure(options, ways, seed, yardstick))
        print(brief(ledger.figures()["summary"]), flush=True)


def measure(
    options: argparse.Namespace,
    ways: dict[str, Callable[[int, int], ImageSet]],
    seed: int,
    yardstick: Yardstick,
) -> Row:
    """Rates in turns, and the TSTR of one set of each."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(options.rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way(options.timed, 1_000 * seed + turn)
            rates[name].append(options.timed / (time.perf_counter() - began))
    accuracy = {}
    for name, way in ways.items():
        accuracy[name] = yardstick.accuracy(way(options.count, seed + 1), seed)
        print(f"seed {seed}, {name}: {max(rates[name]):.0f} images/s, TSTR {accuracy[name]:.4f}", flush=True)
    return {"seed": seed, "images_per_second": rates, "tstr_accuracy": accuracy}


def plain_loop(
    artifact: Artifact, options: argparse.Namespace, yardstick: Yardstick
) -> Callable[[int, int], ImageSet]:
    """The loop over (count, seed)."""
    device = resolve_device(options.device)
    velocity = cast(Flow, load_network(artifact)).velocity.to(device, torch.bfloat16)
    shape = tuple(yardstick.real.images.shape[1:])

    def make(count: int, seed: int) -> ImageSet:
        random = torch.Generator(device).manual_seed(seed)
        labels = (torch.arange(count) % yardstick.classes).to(device)
        parts = []
        for part in labels.split(_BATCH):
            noise = torch.randn(len(part), *shape, device=device, generator=random)
            images = heun(velocity, noise, part).float().clamp(-1, 1)
            parts.append(((images + 1) * 127.5).round().to(torch.uint8).cpu())
        return as_set(torch.cat(parts), labels.cpu(), yardstick)

    return make


@torch.inference_mode()
def heun(velocity: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    """From noise at time 0 to images at time 1, in 16 network calls."""
    x = x.bfloat16()
    for i in range(STEPS):
        start, end = i / STEPS, (i + 1) / STEPS
        times = torch.full((len(x),), start, device=x.device)
        slope = velocity(x, times, labels)
        ahead = velocity(x + (end - start) * slope, torch.full_like(times, end), labels)
        x = x + (end - start) * 0.5 * (slope + ahead)
    return x


def through_sampler(sampler: Sampler, setting: str, yardstick: Yardstick) -> Callable[[int, int], ImageSet]:
    """The sampler over (count, seed), with parameters by ``name=value``, separated by commas."""
    parameters = {name: number(value) for name, value in (one.split("=") for one in setting.split(","))}

    def make(count: int, seed: int) -> ImageSet:
        batch = sampler.generate(count, labels="balanced", seed=seed, **parameters)
        assert batch.labels is not None
        return as_set(torch.as_tensor(batch.images), torch.as_tensor(batch.labels), yardstick)

    return make


def number(text: str) -> Any:
    """Parameters are numbers or texts."""
    try:
        return float(text)
    except ValueError:
        return text


def as_set(images: Tensor, labels: Tensor, yardstick: Yardstick) -> ImageSet:
    """Labelled images for the yardstick."""
    return ImageSet(images, labels, ("",) * len(images), yardstick.real.classes, (), "generated")


def summarise(rows: list[Row]) -> dict[str, Any]:
    """Of each setting: how many times as fast, TSTR, and how far that is from the plain loop's."""
    settings = [name for name in rows[0]["tstr_accuracy"] if name != "plain"]
    found = {}
    for name in settings:
        ratios = [
            a / b
            for row in rows
            for a, b in zip(row["images_per_second"][name], row["images_per_second"]["plain"], strict=True)
        ]
        gaps = [row["tstr_accuracy"][name] - row["tstr_accuracy"]["plain"] for row in rows]
        found[name] = {
            "speed": interval(ratios),
            "tstr_accuracy": interval([row["tstr_accuracy"][name] for row in rows]),
            "gap": interval(gaps),
        }
    equal = [name for name in settings if found[name]["gap"]["mean"] >= -POINTS]
    best = max(equal, key=lambda name: found[name]["speed"]["mean"], default=None)
    plain = interval([row["tstr_accuracy"]["plain"] for row in rows])
    return {"seeds": len(rows), "plain": plain, "settings": found, "best": best}


def brief(summary: dict[str, Any]) -> str:
    """A line for each setting."""
    lines = [f"  plain: TSTR {told(summary['plain'])}"]
    for name, one in summary["settings"].items():
        text = f"  {name}: {told(one['speed'], 2)} times as fast, TSTR {told(one['tstr_accuracy'])}"
        lines.append(text + (" (fastest at equal TSTR)" if name == summary["best"] else ""))
    return "\n".join(lines)
