"""Domain shift, part by part: what adapting, translating and restyling are worth in another domain.

    python benchmarks/domain_shift.py digits --tasks mnist-usps    source-only, CORAL, DANN, translate
    python benchmarks/domain_shift.py emoji                        Noto to Twemoji against the true twins
    python benchmarks/domain_shift.py general                      style augmentation against classical alone
    python benchmarks/domain_shift.py steps                        a training step over the original code's
    python benchmarks/domain_shift.py photographs --device cuda    photographs as paintings, with a picture
    python benchmarks/domain_shift.py table                        "obtained vs target" into docs/results.md
    python benchmarks/domain_shift.py --quick                      every part, tiny; nothing is kept

On two cores and per seed: digits 40 minutes a task, emoji 9, general 11; steps 5 in all. Real data are
read from ``../shared/data`` beside the checkout (``--shared``); a part whose data are not there is skipped,
and says so.

Parts run alone, write benchmarks/results/domain-shift-*.json after every seed, and go on where they were
when they are started again; ``--first-seed`` and ``--seeds`` add seeds. On a GPU: ``--device cuda``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from shift import digits, emoji, general, photographs, steps, table
from shift.data import SHARED
from worth import parts

PARTS = {
    "digits": digits,
    "emoji": emoji,
    "general": general,
    "steps": steps,
    "photographs": photographs,
    "table": table,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What all parts take."""
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder of the real data")


if __name__ == "__main__":
    parts.main(__doc__, PARTS, out="synth-domain-shift", add_arguments=add_arguments)
