"""The server against LitServe, Ray Serve and plain FastAPI: images per second, latency, overload, idleness.

On one machine, with one model and one client program, which talks HTTP/1.1 over kept-alive connections of
127.0.0.1. All servers answer the same: JSON with count, seed and start is posted, and count x H x W x C bytes
come back; their pixels are checked before anything is timed. In each round every server is started anew,
measured and ended, in turns (A B C, A B C, ...); figures are medians over the rounds.

    ours            synth serve
    litserve, ray   the others that batch, with max_batch_size, waiting times, workers, queues tried
    naive           FastAPI with asyncio.to_thread, no batching
    eager, tuned    their model: the float32 decoder as a user writes it, or the project's tuned sampler

For every server, ours included, the numbers and waiting policies of torch's threads are tried, and of all
settings those with most images per second are taken; the result tells what was tried.

"Saturated at equal or lower p99": theirs is what they reach with the fewest clients that bring 97 % of their
most images per second; ours is the most that it reaches with any number of clients whose p99 is not above
theirs there. Overload is an open loop: requests arrive by a Poisson process at twice the capacity just
measured, with a deadline of one second each.

The other servers are no dependencies; those that are missing are left out:

    .venv/bin/uv pip install --python .venv/bin/python --group benchmarks
    python benchmarks/serving.py                  about an hour on two processors
    python benchmarks/serving.py --rounds 1 --few-settings       about a third of that
    python benchmarks/serving.py --quick          some 4 minutes; the result is not kept
    python benchmarks/serving.py --only ray       ours and those whose names begin so; the result is not kept
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from contest.check import check_answers
from contest.contenders import (
    Contender,
    Settings,
    Site,
    best_settings,
    contenders,
    make_site,
    temporary_folder,
)
from contest.processes import ServerError
from contest.rounds import Extent, core_alone, measure
from contest.verdict import markdown, table
from record import write_result

from synth.machine import usable_cpus
from synth.sampling import resolve_device

FULL = Extent(clients=(1, 2, 4, 8, 16, 32, 64), mixed_clients=(16, 32, 64), seconds=3.0, long_seconds=10.0)
QUICK = Extent(clients=(1, 16, 64), mixed_clients=(64,), seconds=1.0, long_seconds=3.0)
_LEFT_OUT_WHEN_QUICK = ("litserve eager", "ray eager", "naive eager")
_SEARCH_CLIENTS = 32


def main() -> None:
    """Find the best settings, measure in rounds, print the table and keep the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--only", metavar="NAME", help="compare with servers alone whose names begin so")
    parser.add_argument(
        "--few-settings", action="store_true", help="search less; the result tells what was tried"
    )
    parser.add_argument("--quick", action="store_true", help="1 round, few settings; the result is not kept")
    options = parser.parse_args()
    extent, rounds = (QUICK, 1) if options.quick else (FULL, options.rounds)
    device = resolve_device(options.device).type
    with temporary_folder() as folder:
        site = make_site(Path(folder), device)
        chosen = choose(options.only, options.quick)
        if options.few_settings:
            chosen = [contender.sparing() for contender in chosen]
        settings, tried = tune(chosen, site, extent.seconds)
        chosen = [contender for contender in chosen if contender.name in settings]
        found: dict[str, list[Any]] = {contender.name: [] for contender in chosen}
        for number in range(rounds):
            for contender in chosen:
                found[contender.name] += one_round(contender, site, settings, extent, number)
            lines, pairs = table(found)
            if not options.quick and options.only is None:
                figures = {
                    "extent": asdict(extent),
                    "settings": settings,
                    "tried": tried,
                    "table": [asdict(line) for line in lines],
                    "saturated": pairs,
                    "rounds": found,
                }
                write_result("serving" if device == "cpu" else f"serving-{device}", figures)
    print(markdown(lines), flush=True)


def one_round(
    contender: Contender, site: Site, settings: Mapping[str, Settings], extent: Extent, number: int
) -> list[dict[str, Any]]:
    """What one server comes to; nothing, said aloud, where another than ours breaks down."""
    try:
        one = measure(contender, site, settings[contender.name], extent, number)
    except ServerError as error:
        if contender.name == "ours":
            raise
        print(f"round {number}, {contender.name}: broke down: {error}", flush=True)
        return []
    if contender.name == "ours":
        one["core"] = core_alone(site, settings["ours"], extent.seconds, busiest(one))
    say(number, contender, one)
    return [one]


def choose(only: str | None, quick: bool) -> list[Contender]:
    """Ours and those to compare with; says what is left out."""
    chosen = []
    for contender in contenders(usable_cpus()):
        if contender.name != "ours" and only is not None and not contender.name.startswith(only):
            continue
        if quick and only is None and contender.name in _LEFT_OUT_WHEN_QUICK:
            continue
        if contender.missing:
            print(f"{contender.name}: left out, {contender.package} is not installed", flush=True)
            continue
        chosen.append(contender.hurried() if quick else contender)
    return chosen


def tune(
    chosen: Sequence[Contender], site: Site, seconds: float
) -> tuple[dict[str, Settings], dict[str, list[dict[str, Any]]]]:
    """Settings of each server, and what was tried; servers that never answer rightly are left out, aloud."""
    settings: dict[str, Settings] = {}
    tried: dict[str, list[dict[str, Any]]] = {}
    for contender in chosen:
        check = partial(check_answers, contender, site)
        best, trials = best_settings(contender, site, check, clients=_SEARCH_CLIENTS, seconds=seconds)
        tried[contender.name] = trials
        if all("error" in trial for trial in trials):
            if contender.name == "ours":
                raise ServerError(trials[0]["error"])
            print(f"{contender.name}: left out, it does not work with any settings", flush=True)
        else:
            settings[contender.name] = best
    return settings, tried


def busiest(one: Mapping[str, Any]) -> float:
    """What share of a processor the clients took at the most images per second."""
    best = max(one["closed"].values(), key=lambda figures: figures["images_per_second"])
    return float(best["client_cpu"])


def say(number: int, contender: Contender, one: Mapping[str, Any]) -> None:
    """A line on stdout."""
    rates = ", ".join(
        f"{clients}: {figures['images_per_second']:,.0f} ({figures['p99_ms'] or 0:.0f})"
        for clients, figures in one["closed"].items()
    )
    single = f"one image {one['single']['p50_ms'] or 0:.1f} ms"
    print(f"round {number}, {contender.name}: images/s (p99 ms) by clients: {rates}; {single}", flush=True)


if __name__ == "__main__":
    main()
