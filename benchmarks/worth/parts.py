"""A benchmark in parts: a sub-command each, with the options that all of them take."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from record import RESULTS

from worth.ledger import LedgerError


class MissingDataError(Exception):
    """Real data that a part needs are not there; the part is skipped, and says so."""


def main(
    about: str | None,
    parts: Mapping[str, ModuleType],
    *,
    out: str,
    quick: Sequence[Sequence[str]] | None = None,
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
) -> None:
    """Run one part, or with ``--quick`` alone all of them.

    Args:
        about: the benchmark's own docstring.
        parts: by name; each has ``add_arguments(parser)`` and ``run(options)``, where ``options.seed_range``
            holds the seeds.
        out: name of the temporary folder that is the default of ``--out``.
        quick: the command lines of ``--quick`` alone; by default each part.
        add_arguments: options of all parts besides those here.
    """
    parser = _command_line(about, parts, out, add_arguments)
    options = parser.parse_args()
    if "part" in options:
        _run(options)
    elif options.quick:
        for words in quick or [[name] for name in parts]:
            print("#", *words, flush=True)
            _run(parser.parse_args([*words, "--quick"]))
    else:
        parser.error(f"name a part ({', '.join(parts)}), or --quick for all of them")


def _run(options: argparse.Namespace) -> None:
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


def _command_line(
    about: str | None,
    parts: Mapping[str, ModuleType],
    out: str,
    add_arguments: Callable[[argparse.ArgumentParser], None],
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="every part, tiny; nothing is kept")
    commands = parser.add_subparsers(metavar="PART")
    for name, part in parts.items():
        summary = (part.__doc__ or "").splitlines()[0]
        sub = commands.add_parser(name, help=summary, description=part.__doc__)
        add_arguments(sub)
        sub.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:N")
        sub.add_argument("--seeds", type=int, default=3)
        sub.add_argument("--first-seed", type=int, default=0, help="to add seeds to a result")
        sub.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / out)
        sub.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON results")
        sub.add_argument("--fresh", action="store_true", help="replace the result instead of adding to it")
        sub.add_argument("--quick", action="store_true", help="tiny; the result is not kept")
        part.add_arguments(sub)
        sub.set_defaults(part=part)
    return parser
