"""Augmentation, part by part: how fast the operations are, and what they are worth.

    python benchmarks/augment.py operations    images/s beside torchvision, kornia and albumentations
    python benchmarks/augment.py study         what policies are worth on Fashion-MNIST
    python benchmarks/augment.py adversarial   adversarial training on MNIST, and attacks on the outcome
    python benchmarks/augment.py table         "obtained vs target" into docs/results.md
    python benchmarks/augment.py --quick       every part, tiny; nothing is kept

On one core: operations 2 minutes; on two: study 75 minutes, and it goes on where it was stopped;
adversarial 30 on one, of which 20 are the training.
kornia and albumentations are left out where they are not installed:

    .venv/bin/uv pip install --python .venv/bin/python --group benchmarks
"""

from __future__ import annotations

from augmenting import adversarial, operations, study, table
from worth import parts

PARTS = {"operations": operations, "study": study, "adversarial": adversarial, "table": table}

if __name__ == "__main__":
    parts.main(__doc__, PARTS, out="synth-augment")
