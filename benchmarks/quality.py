"""What generators are worth, part by part: every figure that the project promises of them, as a script.

    python benchmarks/quality.py tstr --families vae,gan,flow   train on synthetic, test on real
    python benchmarks/quality.py few                            20 real images a class, with and without
    python benchmarks/quality.py sampling                       images/s of flow over a plain loop
    python benchmarks/quality.py rivals --rival pythae          others at their defaults, for the same time
    python benchmarks/quality.py table                          "obtained vs target" into docs/results.md
    python benchmarks/quality.py --quick                        every part, tiny; nothing is kept

On two cores: tstr 45 minutes a family, sampling 75, rivals 75 each, few 25. ``--quick`` leaves out rivals,
which are to be downloaded.

Parts run alone, write benchmarks/results/quality-*.json after every seed, and go on where they were when they
are started again; ``--first-seed`` and ``--seeds`` add seeds. What is the same for all generators, the models
and the contact sheets lie in ``--out``. On a GPU: ``--device cuda``; the results have names of their own.
"""

from __future__ import annotations

import argparse

from worth import few, parts, rivals, sampling, table, tstr

PARTS = {"tstr": tstr, "sampling": sampling, "rivals": rivals, "few": few, "table": table}
QUICK = (["tstr", "--families", "vae"], ["few", "--families", "vae"], ["sampling"], ["table"])
"""What ``--quick`` alone runs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What all parts take."""
    parser.add_argument("--data", default="fashion-mnist", help="real training images: a source with classes")
    parser.add_argument("--test", help="real test images; default: DATA:test")


if __name__ == "__main__":
    parts.main(__doc__, PARTS, out="synth-quality", quick=QUICK, add_arguments=add_arguments)
