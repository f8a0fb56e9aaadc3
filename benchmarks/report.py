"""How long a full report takes, and how much memory: real, synthetic and held-out Fashion-MNIST images.

The synthetic set is real images under noise, which costs what a generator's set costs. The time includes the
brief training of an encoder, and the utility study over 3 seeds.

    python benchmarks/report.py                     10,000 + 10,000 images: about 5 minutes on two cores
    python benchmarks/report.py --quick             1,000 + 1,000 images, one seed; the result is not kept
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from record import write_result

from synth.data import load_images, open_source

TARGET_SECONDS, TARGET_GB = 300.0, 4.0


def main() -> None:
    """Measure, keep the result, and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10_000, help="images in each set")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.count, options.seeds = 1_000, 1
    with tempfile.TemporaryDirectory() as folder:
        real, synthetic = make_sets(Path(folder), options.count)
        environment = {**os.environ, "SYNTH_HOME": str(Path(folder) / "home")}
        words = ["evaluate", "--real", str(real), "--synthetic", str(synthetic), "--json"]
        words += ["--holdout", "fashion-mnist:test", "--seeds", str(options.seeds)]
        words += ["--quick"] if options.quick else []
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "synth", *words], env=environment, check=True, stdout=subprocess.PIPE
        )
        seconds = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = json.loads(done.stdout)
    figures = {
        "settings": vars(options),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "memory_gb": round(used.ru_maxrss / 1e6, 2),
        "verdict": report["verdict"]["status"],
        "target": {"seconds": TARGET_SECONDS, "memory_gb": TARGET_GB},
    }
    if not options.quick:
        write_result("report", figures)
    print(json.dumps(figures, indent=2))


def make_sets(folder: Path, count: int) -> tuple[Path, Path]:
    """Real images, and others under noise in place of synthetic ones."""
    images = load_images(open_source("fashion-mnist"))
    assert images.labels is not None
    random = np.random.default_rng(0)
    paths = folder / "real.npz", folder / "synthetic.npz"
    for number, path in enumerate(paths):
        part = images.subset(range(number * count, (number + 1) * count))
        pixels = part.images.permute(0, 2, 3, 1).numpy()
        if number:
            noisy = pixels + random.normal(0.0, 12.0, pixels.shape)
            pixels = np.clip(np.round(noisy), 0, 255).astype(np.uint8)
        assert part.labels is not None
        np.savez(path, images=pixels, labels=part.labels.numpy(), class_names=list(images.classes or ()))
    return paths


if __name__ == "__main__":
    main()
