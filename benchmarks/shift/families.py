"""What the parts share that train families of translators: their options, and a result for each family."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from worth.ledger import Ledger, Row


def add_arguments(parser: argparse.ArgumentParser, *, families: str, minutes: float, size: int) -> None:
    """Options with these defaults."""
    parser.add_argument("--families", default=families, help="separated by commas: cyclegan, cut")
    parser.add_argument("--minutes", type=float, default=minutes, help="of each training")
    parser.add_argument("--size", type=int, default=size, help="pixels")
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="of `synth train`")


def run_each(
    options: argparse.Namespace,
    name: Callable[[str, str], str],
    measure: Callable[[str, int], Row],
    summarise: Callable[[list[Row]], dict[str, Any]],
    brief: Callable[[str, dict[str, Any]], str],
) -> None:
    """Each family in turn, seed by seed.

    Args:
        name: of a result, by family and device.
        measure: the row of a family and a seed.
        brief: one line for the terminal, of a family and its summary.
    """
    for family in options.families.split(","):
        ledger = Ledger(
            name(family, options.device),
            {"family": family, "minutes": options.minutes, "size": options.size, "set": options.set},
            summarise,
            folder=options.results,
            keep=not options.quick,
            fresh=options.fresh,
        )
        for seed in ledger.missing(options.seed_range):
            ledger.add(measure(family, seed))
            print(brief(family, ledger.figures()["summary"]), flush=True)
