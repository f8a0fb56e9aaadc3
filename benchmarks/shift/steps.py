"""Part ``steps``: one training step of cyclegan and cut, ours over the original code's order of work.

The original step is written anew in plain PyTorch, after Zhu's pytorch-CycleGAN-and-pix2pix and Park's
contrastive-unpaired-translation: float32, an optimiser for generators and one for judges, a pass for each
use. The networks are the same ones, copied; what differs is how they are used. In turns (A B A B), in one
process.
"""

from __future__ import annotations

import argparse
import copy
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from record import write_result
from torch import Tensor, nn
from torch.nn import functional as F
from worth.statistics import interval, told

from synth import resolve_recipe
from synth.data import ImageSet
from synth.sampling import resolve_device, resolve_precision
from synth.sampling.device import use_granted_threads
from synth.training.module import FamilyModule
from synth.training.parts import split_domains
from synth.training.preparing import build_module

Step = Callable[[Tensor, Tensor], None]
"""On images of both domains, float32 [N, C, H, W] in [-1, 1]."""
_RATE, _BETAS = 2e-4, (0.5, 0.999)
_POOL = 50
_PATCHES, _TEMPERATURE = 256, 0.07
_IMAGES = 256
_WARM = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--families", default="cyclegan,cut", help="separated by commas")
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="of the recipe")


def run(options: argparse.Namespace) -> None:
    """Each family in turn."""
    if options.quick:
        options.size, options.seconds, options.rounds = 32, 1.0, 1
    device = resolve_device(options.device)
    use_granted_threads()
    for family in options.families.split(","):
        figures = measure(options, family, device)
        print(
            f"{family}: ours / original {told(figures['ratio'], 2)}; images/s {figures['images_per_second']}",
            flush=True,
        )
        if not options.quick:
            write_result(result_name(family, options.device), figures, options.results)


def result_name(family: str, device: str = "cpu") -> str:
    """``domain-shift-step-cut``, with ``-cuda`` where it is."""
    return f"domain-shift-step-{family}" + ("-cuda" if device.startswith("cuda") else "")


def measure(options: argparse.Namespace, family: str, device: torch.device) -> dict[str, Any]:
    """Images per second of both, in turns, and the ratio of each turn."""
    flags = {"images_seen": 1_000_000, "precision": resolve_precision("auto", device)}
    recipe = resolve_recipe(family, overrides=options.set, flags=flags)
    sets = [_random(seed, options.size) for seed in (0, 1)]
    module = build_module(family, recipe, split_domains(sets[0], sets[1], recipe.validation)).to(device)
    module.progress = 0.5
    steps = {"ours": ours(module, recipe.batch_size), "original": ORIGINALS[family](copy.deepcopy(module))}
    rates: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(options.rounds):
        for name, step in steps.items():
            rates[name].append(_rate(step, sets, recipe.batch_size, device, options.seconds))
    return {
        "family": family,
        "size": options.size,
        "batch_size": recipe.batch_size,
        "precision": recipe.precision,
        "network": module.network_config(),
        "images_per_second": {name: [round(rate, 1) for rate in found] for name, found in rates.items()},
        "ratio": interval([a / b for a, b in zip(rates["ours"], rates["original"], strict=True)]),
    }


def _random(seed: int, size: int) -> ImageSet:
    pixels = torch.randint(0, 256, (_IMAGES, 3, size, size), dtype=torch.uint8)
    return ImageSet(pixels, None, tuple(f"{seed:02x}{row:062x}" for row in range(_IMAGES)), None)


def _rate(step: Step, sets: list[ImageSet], size: int, device: torch.device, seconds: float) -> float:
    """Images of one domain per second."""
    began = 0.0
    for done, (a, b) in enumerate(_batches(sets, size, device), start=1):
        step(a, b)
        if device.type == "cuda":
            torch.cuda.synchronize()
        if done == _WARM:
            began = time.perf_counter()
        elif done > _WARM and (passed := time.perf_counter() - began) >= seconds:
            return (done - _WARM) * size / passed
    raise AssertionError("batches have no end")


def _batches(sets: list[ImageSet], size: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        rows = [torch.randint(0, _IMAGES, (size,)) for _ in sets]
        a, b = (
            one.images[chosen].to(device).float() / 127.5 - 1.0
            for one, chosen in zip(sets, rows, strict=True)
        )
        yield a, b


def ours(module: FamilyModule, size: int) -> Step:
    """The step of ``synth train``: the family's loss in its precision, one optimiser, the weight average."""
    optimiser = module.configure_optimizers()
    module.train()
    seen = 0

    def step(a: Tensor, b: Tensor) -> None:
        nonlocal seen
        position = torch.arange(seen, seen + size, device=a.device)
        seen += size
        with module.autocast():
            loss, _ = module.loss(torch.cat([a, b]), None, position)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        module.on_before_optimizer_step(optimiser)
        optimiser.step()
        module.update_average(seen, size)

    return step


def original_cyclegan(module: Any) -> Step:
    """``CycleGANModel.optimize_parameters`` at its defaults: lsgan, cycle 10, identity half of that."""
    g_a, g_b = (_plain(one) for one in (module.network.a_to_b, module.network.b_to_a))
    d_a, d_b = _plain(module.judge_b), _plain(module.judge_a)  # named after what they follow there
    of_generators = torch.optim.Adam([*g_a.parameters(), *g_b.parameters()], lr=_RATE, betas=_BETAS)
    of_judges = torch.optim.Adam([*d_a.parameters(), *d_b.parameters()], lr=_RATE, betas=_BETAS)
    pools = _Pool(), _Pool()

    def step(real_a: Tensor, real_b: Tensor) -> None:
        fake_b = g_a(real_a)
        back_a = g_b(fake_b)
        fake_a = g_b(real_b)
        back_b = g_a(fake_a)
        _learns([d_a, d_b], False)
        of_generators.zero_grad()
        identity = F.l1_loss(g_a(real_b), real_b) * 10.0 * 0.5 + F.l1_loss(g_b(real_a), real_a) * 10.0 * 0.5
        fooled = _least_squares(d_a(fake_b), 1.0) + _least_squares(d_b(fake_a), 1.0)
        cycle = F.l1_loss(back_a, real_a) * 10.0 + F.l1_loss(back_b, real_b) * 10.0
        (fooled + cycle + identity).backward()  # type: ignore[no-untyped-call]
        of_generators.step()
        _learns([d_a, d_b], True)
        of_judges.zero_grad()
        for judge, real, fake, pool in ((d_a, real_b, fake_b, pools[0]), (d_b, real_a, fake_a, pools[1])):
            old = pool.query(fake.detach())
            loss = 0.5 * (_least_squares(judge(real), 1.0) + _least_squares(judge(old), 0.0))
            loss.backward()  # type: ignore[no-untyped-call]
        of_judges.step()

    return step


def original_cut(module: Any) -> Step:
    """``CUTModel.optimize_parameters`` with FastCUT's settings, without mirroring, as ours."""
    generator, judge, projection = (
        _plain(one) for one in (module.network.generator, module.judge, module.projection)
    )
    compared = list(module._compared)
    of_generator = torch.optim.Adam(generator.parameters(), lr=_RATE, betas=_BETAS)
    of_judge = torch.optim.Adam(judge.parameters(), lr=_RATE, betas=_BETAS)
    of_projection = torch.optim.Adam(projection.parameters(), lr=_RATE, betas=_BETAS)

    def maps_of(images: Tensor) -> list[Tensor]:
        maps = cast(Any, generator).encode(images, compared[-1])
        return [maps[number] for number in compared]

    def step(real_a: Tensor, real_b: Tensor) -> None:
        fake = generator(real_a)
        _learns([judge], True)
        of_judge.zero_grad()
        judged = 0.5 * (_least_squares(judge(fake.detach()), 0.0) + _least_squares(judge(real_b), 1.0))
        judged.backward()  # type: ignore[no-untyped-call]
        of_judge.step()
        _learns([judge], False)
        of_generator.zero_grad()
        of_projection.zero_grad()
        queries, keys = maps_of(fake), maps_of(real_a)
        ids = [torch.randperm(one.shape[2] * one.shape[3])[:_PATCHES] for one in keys]
        losses = [
            _nce(query, key)
            for query, key in zip(projection(_rows(queries, ids)), projection(_rows(keys, ids)), strict=True)
        ]
        loss = _least_squares(judge(fake), 1.0) + 10.0 * torch.stack(losses).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        of_generator.step()
        of_projection.step()

    return step


ORIGINALS: dict[str, Callable[[Any], Step]] = {"cyclegan": original_cyclegan, "cut": original_cut}


class _Pool:
    """``ImagePool``: image by image, half of them from earlier steps."""

    def __init__(self) -> None:
        self._images: list[Tensor] = []

    def query(self, images: Tensor) -> Tensor:
        given = []
        for image in images.split(1):
            if len(self._images) < _POOL:
                self._images.append(image)
                given.append(image)
            elif random.random() > 0.5:
                row = random.randrange(_POOL)
                given.append(self._images[row].clone())
                self._images[row] = image
            else:
                given.append(image)
        return torch.cat(given)


def _plain(network: nn.Module) -> nn.Module:
    """In float32 and torch's own layout, as the original code has it."""
    plain: nn.Module = network.float().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return plain.train().requires_grad_(True)


def _learns(networks: list[nn.Module], learns: bool) -> None:
    for network in networks:
        network.requires_grad_(learns)


def _least_squares(scores: Tensor, wanted: float) -> Tensor:
    return F.mse_loss(scores, torch.full_like(scores, wanted))


def _rows(maps: list[Tensor], ids: list[Tensor]) -> list[Tensor]:
    return [one.flatten(2).permute(0, 2, 1)[:, at.to(one.device)] for one, at in zip(maps, ids, strict=True)]


def _nce(queries: Tensor, keys: Tensor) -> Tensor:
    """``PatchNCELoss``: the own key first, then all of the image, with the own one masked there."""
    keys = keys.detach()
    own = (queries * keys).sum(dim=2, keepdim=True)
    others = torch.bmm(queries, keys.transpose(1, 2))
    others.masked_fill_(torch.eye(keys.shape[1], dtype=torch.bool, device=keys.device)[None], -10.0)
    logits = torch.cat([own, others], dim=2).flatten(0, 1) / _TEMPERATURE
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))
