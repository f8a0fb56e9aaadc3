"""The scripts in ``benchmarks/`` import each other from their own folder, as Python runs them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
