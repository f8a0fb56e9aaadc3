"""The command line as a user types it, in a SYNTH_HOME of the benchmark's own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import record

from synth.artifacts import Artifact, Store
from synth.data import ImageSet, load_images, open_source
from synth.errors import NotFoundError


def synth(out: Path, *arguments: str) -> float:
    """Run ``synth ARGUMENTS``; the seconds that it took. What it leaves lies in ``out/home``."""
    print("$ synth", *arguments, flush=True)
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "synth", *arguments],
        env={**os.environ, "SYNTH_HOME": str(out / "home")},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - began


def train(
    out: Path,
    family: str,
    data: str,
    minutes: float | None,
    seed: int,
    device: str,
    settings: Sequence[str] = (),
) -> Artifact:
    """A generator, trained by ``synth train``; one that this commit has left in ``out`` is taken as it is.

    Without ``minutes`` the settings say how long.
    """
    name = model_name(family, Path(data).stem, minutes, seed, settings)
    store = Store(out / "home" / "store")
    if not name.endswith("-changed"):
        try:
            found = store.open(name)
            print(f"{found.manifest.reference} is there already", flush=True)
            return found
        except NotFoundError:
            pass
    words = ["train", family, "--data", data, "--name", name, "--seed", str(seed), "--device", device]
    words += [] if minutes is None else ["--minutes", f"{minutes:g}"]
    synth(out, *words, *(word for one in settings for word in ("--set", one)))
    return store.open(name)


def model_name(family: str, data: str, minutes: float | None, seed: int, settings: Sequence[str]) -> str:
    """A name in the store that says what the model is and which commit trained it."""
    commit = record.commit() or "changed"
    commit = "changed" if commit.endswith("changes") else commit[:10]
    special = f"{zlib.crc32(' '.join(settings).encode()):08x}-" if settings else ""
    length = "" if minutes is None else f"{round(minutes * 60)}s-"
    return f"{family}-{data}-{length}{seed}-{special}{commit}"


def generate(
    out: Path, artifact: Artifact, count: int, seed: int, device: str, settings: Sequence[str] = ()
) -> tuple[ImageSet, float]:
    """A balanced labelled set, made by ``synth generate``, and the seconds of the command."""
    folder = out / "generated" / artifact.manifest.name
    words = ["generate", artifact.manifest.reference, "--count", str(count), "--labels", "balanced"]
    words += ["--out", str(folder), "--seed", str(seed), "--format", "npz", "--device", device, "--overwrite"]
    seconds = synth(out, *words, *(word for one in settings for word in ("--set", one)))
    return load_images(open_source(folder)), seconds


def training_figures(artifact: Artifact) -> dict[str, Any]:
    """What the manifest says of the training."""
    training = artifact.manifest.training
    return {
        "images_seen": training.images_seen,
        "train_seconds": training.seconds,
        "train_images_per_second": training.images_seen / max(training.seconds, 1e-9),
        "parameters": artifact.manifest.weights.parameters,
    }
