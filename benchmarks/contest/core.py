"""The sampler core alone, in a process of its own: images per second, with and without a busy neighbour."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from synth.sampling import Sampler
from synth.serving.device import device_threads

_LARGE = 512
_PERIOD_SECONDS = 0.005


def main() -> None:
    """Print a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--seconds", type=float, required=True, help="of each measurement")
    parser.add_argument("--neighbour", type=float, default=0.0, help="share of a processor that it takes")
    options = parser.parse_args()
    sampler = Sampler.open(options.artifact, device=options.device)
    sampler.generate(_LARGE)
    together = rate(sampler, _LARGE, options.seconds)
    beside = side_by_side(options.artifact, options.seconds) if sampler.device.type == "cpu" else 0.0
    found = {
        "images_per_second": max(together, beside),
        "one_caller_per_second": together,
        "a_process_for_each_cpu_per_second": beside,
        "by_16_per_second": rate(sampler, 16, options.seconds),
        "bucket": sampler.best_bucket(),
    }
    if options.neighbour:
        busy = multiprocessing.get_context("spawn").Process(
            target=burn, args=(options.neighbour,), daemon=True
        )
        busy.start()
        rate(sampler, _LARGE, 1.0)  # while it starts
        found["beside_clients_per_second"] = rate(sampler, _LARGE, options.seconds)
        busy.kill()
    print(json.dumps(found))


def rate(sampler: Sampler, count: int, seconds: float) -> float:
    """Images per second of one call after the other."""
    made, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        sampler.generate(count, start=made)
        made += count
    return made / (time.perf_counter() - began)


def side_by_side(artifact: Path, seconds: float) -> float:
    """Images per second of as many processes as the server computes in, with a thread each, together."""
    count = device_threads(torch.device("cpu"))
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(count)
    with ProcessPoolExecutor(count, context, initializer=_prepare, initargs=(artifact, ready)) as pool:
        return sum(pool.map(_rate_of_one, [seconds] * count))


def _prepare(artifact: Path, ready: Any) -> None:
    global _sampler, _ready
    torch.set_num_threads(1)
    _sampler, _ready = Sampler.open(artifact, device="cpu"), ready


def _rate_of_one(seconds: float) -> float:
    _ready.wait()
    return rate(_sampler, _sampler.best_bucket(), seconds)


def burn(share: float) -> None:
    """Take a share of a processor, in pieces of some milliseconds as clients do, until killed."""
    while True:
        end = time.perf_counter() + share * _PERIOD_SECONDS
        while time.perf_counter() < end:
            pass
        time.sleep((1 - min(share, 0.99)) * _PERIOD_SECONDS)


if __name__ == "__main__":
    main()
