"""Domain shift, part by part: what adapting, translating and restyling are worth in another domain.

    python benchmarks/domain_shift.py digits --tasks mnist-usps    source-only, CORAL, DANN, translate
    python benchmarks/domain_shift.py emoji                        Noto to Twemoji against the true twins
    python benchmarks/domain_shift.py general                      style augmentation against classical alone
    python benchmarks/domain_shift.py steps                        a training step over the original code's
    python benchmarks/domain_shift.py table                        "obtained vs target" into docs/results.md
    python benchmarks/domain_shift.py --quick                      every part, tiny; nothing is kept

On two cores and per seed: digits 40 minutes a task, emoji 24, general 15; steps 5 in all. Real data are
read from ``../shared/data`` beside the checkout (``--shared``); a part whose data are not there is skipped,
and says so.

Parts run alone, write benchmarks/results/domain-shift-*.json after every seed, and go on where they were
when they are started again; ``--first-seed`` and ``--seeds`` add seeds. On a GPU: ``--device cuda``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from record import RESULTS
from shift import digits, emoji, general, steps, table
from shift.data import SHARED, MissingDataError
from worth.ledger import LedgerError

PARTS = {"digits": digits, "emoji": emoji, "general": general, "steps": steps, "table": table}


def main() -> None:
    """Run one part, or all of them quickly."""
    parser = command_line()
    options = parser.parse_args()
    if "part" in options:
        run(options)
    elif options.quick:
        for name in PARTS:
            print("#", name, flush=True)
            run(parser.parse_args([name, "--quick"]))
    else:
        parser.error(f"name a part ({', '.join(PARTS)}), or --quick for all of them")


def run(options: argparse.Namespace) -> None:
    """One part."""
    if options.quick:
        options.seeds = 1
        options.out = options.out / "quick"
    options.out.mkdir(parents=True, exist_ok=True)
    options.seed_range = range(options.first_seed, options.first_seed + options.seeds)
    try:
        options.part.run(options)
    except MissingDataError as reason:
        print(reason, flush=True)
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
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder of the real data")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:N")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0, help="to add seeds to a result")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "synth-domain-shift")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON results")
    parser.add_argument("--fresh", action="store_true", help="replace the result instead of adding to it")
    parser.add_argument("--quick", action="store_true", help="tiny; the result is not kept")


if __name__ == "__main__":
    main()
