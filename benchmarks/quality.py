"""What generators are worth, part by part: every figure that the project promises of them, as a script.

    python benchmarks/quality.py tstr --families vae,gan,flow   train on synthetic, test on real
    python benchmarks/quality.py few --families vae             20 real images a class, with and without
    python benchmarks/quality.py sampling                       images/s of flow over a plain loop
    python benchmarks/quality.py rivals --rival pythae          others at their defaults, for the same time
    python benchmarks/quality.py table                          "obtained vs target" into docs/results.md
    python benchmarks/quality.py --quick                        every part, tiny; nothing is kept

On two cores: tstr 45 minutes a family, sampling 75, rivals 75 each, few 30. ``--quick`` leaves out rivals,
which are to be downloaded.

Parts run alone, write benchmarks/results/quality-*.json after every seed, and go on where they were when they
are started again; ``--first-seed`` and ``--seeds`` add seeds. What is the same for all generators, the models
and the contact sheets lie in ``--out``. On a GPU: ``--device cuda``; the results have names of their own.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from record import RESULTS
from worth import few, rivals, sampling, table, tstr
from worth.ledger import LedgerError

PARTS = {"tstr": tstr, "sampling": sampling, "rivals": rivals, "few": few, "table": table}
QUICK = (["tstr", "--families", "vae"], ["few", "--families", "vae"], ["sampling"], ["table"])
"""What ``--quick`` alone runs."""


def main() -> None:
    """Run one part, or all of them quickly."""
    parser = command_line()
    options = parser.parse_args()
    if "part" in options:
        run(options)
    elif options.quick:
        for words in QUICK:
            print("#", *words, flush=True)
            run(parser.parse_args([*words, "--quick"]))
    else:
        parser.error(f"name a part ({', '.join(PARTS)}), or --quick for all of them")


def run(options: argparse.Namespace) -> None:
    """One part."""
    if options.quick:
        options.seeds = 1
        options.out = options.out / "quick"
    options.test = options.test or f"{options.data}:test"
    options.out.mkdir(parents=True, exist_ok=True)
    options.seed_range = range(options.first_seed, options.first_seed + options.seeds)
    try:
        options.part.run(options)
    except LedgerError as error:
        raise SystemExit(str(error)) from None


def command_line() -> argparse.ArgumentParser:
    """One sub-command a part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="every part, tiny; nothing is kept")
    parts = parser.add_subparsers(metavar="PART")
    for name, part in PARTS.items():
        summary = (part.__doc__ or "").splitlines()[0]
        sub = parts.add_parser(name, help=summary, description=part.__doc__)
        add_common(sub)
        part.add_arguments(sub)
        sub.set_defaults(part=part)
    return parser


def add_common(parser: argparse.ArgumentParser) -> None:
    """What all parts take."""
    parser.add_argument("--data", default="fashion-mnist", help="real training images: a source with classes")
    parser.add_argument("--test", help="real test images; default: DATA:test")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:N")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0, help="to add seeds to a result")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "synth-quality")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON results")
    parser.add_argument("--fresh", action="store_true", help="replace the result instead of adding to it")
    parser.add_argument("--quick", action="store_true", help="tiny; the result is not kept")


if __name__ == "__main__":
    main()
