"""The sampler core against a plain loop: images per second on three generators of random weights.

In one process and in turns (A B C D, A B C D, ...), so that drifts of the machine meet all alike:

    eager    float32, contiguous, torch.randn and the network, at its best batch size
    fast     the tuned core in mode ``fast``, from keys to uint8
    bare     a loop over the very function that the core found best, at its best bucket, without the core
    exact    the core in mode ``exact``
    one      eager and fast for single images

and the roofline: the time that the operations would take at the rate of a large matrix product, or the bytes
at the rate of a large copy, whichever is longer. Bytes are the weights once for each bucket, and activations
written once and read once.

    python benchmarks/sampler.py              some 15 minutes on two CPU cores
    python benchmarks/sampler.py --quick      some 3 minutes; the result is not kept
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import generators
import torch
from record import write_result
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from synth.models.program import ImageShape, NoiseSpec, Parameter, State
from synth.models.vae import VAE, VAEProgram
from synth.sampling.core import Core
from synth.sampling.device import DTYPES, resolve_device, resolve_precision, use_granted_threads
from synth.sampling.execution import to_uint8
from synth.sampling.methods import Model
from synth.sampling.prepare import prepare

TARGETS = {
    "cpu": {"fast / eager": 5.0, "fast / bare": 0.95, "exact / fast": 0.9},
    "cuda": {"fast / eager": 2.0, "one: fast / eager": 4.0, "fast / bare": 0.95, "exact / fast": 0.9},
}
"""By kind of device."""
EAGER_BATCHES = (1, 8, 32, 128)
SINGLES = 16


@dataclass(frozen=True)
class Case:
    """A generator to measure, and how many images one turn makes."""

    name: str
    model: Model
    noise: tuple[int, ...]
    count: int


class NetworkProgram:
    """A network that makes an image from normal noise in one call."""

    parameters: tuple[Parameter, ...] = ()

    def __init__(self, network: nn.Module, shape: tuple[int, ...]) -> None:
        self.network, self.noise = network, (NoiseSpec("input", shape),)
        self._weight = next(network.parameters())

    def steps(self, parameters: Mapping[str, float]) -> int:
        return 1

    def begin(
        self, noise: Mapping[str, Tensor], labels: Tensor | None, parameters: Mapping[str, float]
    ) -> State:
        return {"x": noise["input"].to(self._weight.dtype)}

    def step(self, i: int, state: State, labels: Tensor | None, parameters: Mapping[str, float]) -> State:
        return {"x": self.network(state["x"])}

    def image(self, state: State) -> Tensor:
        return state["x"]


def cases(quick: bool) -> list[Case]:
    """The three generators of the table."""
    torch.manual_seed(0)
    vae_image = ImageShape(1, 28, 28)
    config = {"widths": [48, 96], "blocks": 1, "latent": 64, "components": 12}
    vae = Model(VAE(config, vae_image, 10).eval().requires_grad_(False), VAEProgram, vae_image, 10)
    found = [Case("vae", vae, (64,), 512)]
    for name, network, noise, size, count in (
        ("dcgan", generators.dcgan(), (100, 1, 1), 64, 128),
        ("resnet9", generators.resnet9(), (3, 64, 64), 64, 16),
    ):
        network = network.eval().requires_grad_(False)
        model = Model(
            network, lambda net, noise=noise: NetworkProgram(net, noise), ImageShape(3, size, size), 0
        )
        found.append(Case(name, model, noise, count))
    return found[:1] if quick else found


def measure(case: Case, rounds: int, warmup_seconds: float) -> dict[str, Any]:
    """Images per second of the four ways, and what the core chose."""
    device = resolve_device()
    eager, batch, flops = eager_loop(case, device)
    core, precision = prepare(case.model, device, resolve_precision("auto", device))
    tuning = core.warm_up(warmup_seconds)
    bucket = min(tuning.seconds, key=lambda size: tuning.seconds[size] / size)
    ways: dict[str, Callable[[], int]] = {
        "eager": lambda: eager(batch, case.count),
        "fast": lambda: through_core(core, case, "fast"),
        "bare": lambda: bare_loop(core, case, bucket),
        "exact": lambda: through_core(core, case, "exact"),
        "one eager": lambda: eager(1, SINGLES),
        "one fast": lambda: one_by_one(core, SINGLES),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            made = way()
            rates[name].append(made / (time.perf_counter() - start))
    ratios = {
        "fast / eager": _ratio(rates["fast"], rates["eager"]),
        "fast / bare": _ratio(rates["fast"], rates["bare"]),
        "exact / fast": _ratio(rates["exact"], rates["fast"]),
        "one: fast / eager": _ratio(rates["one fast"], rates["one eager"]),
    }
    peak, bandwidth = peak_flops(device, DTYPES[precision]), copied_bytes(device)
    moved = core._ways.weight_bytes() / bucket + 2 * core.bytes_per_sample
    fast = statistics.median(rates["fast"])
    return {
        "images_per_second": {name: statistics.median(values) for name, values in rates.items()},
        "ratios": ratios,
        "precision": precision,
        "tuning": tuning.model_dump(mode="json"),
        "flops_per_image": flops,
        "measured_peak_flops": peak,
        "bytes_per_image": moved,
        "measured_bytes_per_second": bandwidth,
        "fraction_of_roofline": fast * max(flops / peak, moved / bandwidth),
        "eager_batch": batch,
    }


def eager_loop(case: Case, device: torch.device) -> tuple[Callable[[int, int], int], int, float]:
    """The plain loop over (batch size, count), its best batch size, and the operations of one image."""
    import copy

    network = copy.deepcopy(case.model.network).to(device)
    decode: Callable[[Tensor], Tensor] = network
    if isinstance(network, VAE):
        labels = torch.arange(max(EAGER_BATCHES), device=device) % case.model.classes
        decoder = network.decoder

        def decode(z: Tensor) -> Tensor:
            return decoder(z, labels[: len(z)])

    def loop(batch: int, count: int) -> int:
        with torch.inference_mode():
            for _ in range(-(-count // batch)):
                to_uint8(decode(torch.randn(batch, *case.noise, device=device))).cpu()
        return batch * -(-count // batch)

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        decode(torch.randn(1, *case.noise, device=device))
    best, rate = 1, 0.0
    for batch in EAGER_BATCHES:
        if batch > case.count:
            continue
        loop(batch, batch)
        start = time.perf_counter()
        made = loop(batch, case.count)
        if made / (time.perf_counter() - start) > rate:
            best, rate = batch, made / (time.perf_counter() - start)
    return loop, best, float(counter.get_total_flops())


def through_core(core: Core, case: Case, mode: Any) -> int:
    """One request to the core."""
    core.run(core.sample_rows(case.count), mode, core.defaults)
    return case.count


def one_by_one(core: Core, count: int) -> int:
    """So many requests for one image."""
    rows = core.sample_rows(1)
    for _ in range(count):
        core.run(rows, "fast", core.defaults)
    return count


def bare_loop(core: Core, case: Case, bucket: int) -> int:
    """The same function over full buckets, its pixels brought to the CPU."""
    rows = core.sample_rows(bucket)
    repeats = -(-case.count // bucket)
    for _ in range(repeats):
        core._fast.run(rows, core.defaults).cpu()
    return repeats * bucket


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a large matrix product: what this machine can be brought to."""
    size = 2048 if device.type == "cpu" else 8192
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        (a @ b).flatten()[0].item()
        best = min(best, time.perf_counter() - start)
    return 2.0 * size**3 / best


def copied_bytes(device: torch.device) -> float:
    """Bytes per second, read and written, of a copy far larger than any cache."""
    source = torch.zeros(2**28, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        target.copy_(source)
        target[-1].item()
        best = min(best, time.perf_counter() - start)
    return 2.0 * source.numel() / best


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def main() -> None:
    """Measure all generators, keep the result, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the vae alone, and no compiled code")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--warmup-seconds", type=float, default=120.0)
    options = parser.parse_args()
    use_granted_threads()
    figures = {}
    for case in cases(options.quick):
        figures[case.name] = measure(case, options.rounds, 5.0 if options.quick else options.warmup_seconds)
        report(case.name, figures[case.name])
    if not options.quick:
        write_result("sampler", {"targets": TARGETS, "threads": torch.get_num_threads(), **figures})


def report(name: str, figures: Mapping[str, Any]) -> None:
    """Lines on stdout."""
    rates = ", ".join(f"{way} {rate:,.0f}" for way, rate in figures["images_per_second"].items())
    print(f"{name}: images/s: {rates}; {figures['tuning']['engine']}, {figures['tuning']['layout']}")
    for ratio, value in figures["ratios"].items():
        target = TARGETS[resolve_device().type].get(ratio)
        print(f"    {ratio:18} {value:6.2f}" + (f"   target {target}" if target else ""))
    print(f"    fraction of the roofline {figures['fraction_of_roofline']:.2f}", flush=True)


if __name__ == "__main__":
    main()
