"""How long a user waits for the command line to answer, as whole processes.

python benchmarks/startup.py              20 runs; keeps the result
python benchmarks/startup.py --quick      5 runs
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from record import write_result

TARGET_SECONDS = 0.5
COMMANDS = {
    "synth --help": ("--help",),
    "synth --version": ("--version",),
    "synth models list": ("models", "list"),
}


def main() -> None:
    """Time each command in turn, after one run of each that is not counted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    runs = 5 if parser.parse_args().quick else 20
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(runs + 1):
        for name, words in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-m", "synth", *words], check=True, capture_output=True)
            if number:
                seconds[name].append(time.perf_counter() - start)
    figures = {
        name: {"median_seconds": statistics.median(values), "max_seconds": max(values)}
        for name, values in seconds.items()
    }
    for name, figure in figures.items():
        print(f"{name:18} median {figure['median_seconds']:.3f} s, longest {figure['max_seconds']:.3f} s")
    if runs == 20:
        write_result("startup", {"target_seconds": TARGET_SECONDS, "commands": figures})


if __name__ == "__main__":
    main()
