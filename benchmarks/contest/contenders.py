"""The servers that are compared, the settings that are tried for each, and the search for the best."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from contest.processes import Server, ServerError
from synth.artifacts import Store

Settings = Mapping[str, Any]
"""Names in capitals are environment variables, others options of the server's script."""

_THREADS: tuple[dict[str, Any], ...] = (
    {"OMP_NUM_THREADS": 1},
    {"OMP_NUM_THREADS": 2, "OMP_WAIT_POLICY": "PASSIVE"},
    {"OMP_NUM_THREADS": 2},
)
"""Of torch. Two lose much as soon as anything else wants a processor, and more if they wait actively."""


@dataclass(frozen=True)
class Site:
    """What all servers get."""

    home: Path
    """SYNTH_HOME, with the tunings, so that every sampler core is run alike."""
    artifact: Path
    image_bytes: int
    device: str
    log: Path


@dataclass(frozen=True)
class Contender:
    """A server with the model in one form; ``search`` has the settings to try, dimension by dimension."""

    name: str
    form: str
    package: str | None = None
    script: str | None = None
    defaults: Settings = field(default_factory=dict)
    search: tuple[tuple[Settings, ...], ...] = ()

    def hurried(self) -> Contender:
        """With next to no search: it shows that the search works, for ours, and takes no time for others."""
        few = 2 if self.script is None else 1
        return replace(self, search=tuple(dimension[:few] for dimension in self.search[:1]))

    def sparing(self) -> Contender:
        """With a search of minutes: one thread, the largest batches, one worker or two."""
        search = self.search
        if len(search) > 1:
            search = (search[0][:1], search[1][-1:], search[3] if self.script == "ray_server" else search[-1])
        return replace(self, search=search)

    @property
    def missing(self) -> bool:
        """Whether its package is not installed."""
        try:
            return self.package is not None and not version(self.package)
        except PackageNotFoundError:
            return True

    def server(self, site: Site, settings: Settings) -> Server:
        """A process with these settings."""
        environment = {name: str(value) for name, value in settings.items() if name.isupper()}
        environment |= {"SYNTH_HOME": str(site.home), "RAY_USAGE_STATS_ENABLED": "0"}
        environment["SYNTH_WORKERS"] = "0"  # nobody asks for jobs, which the others do not have
        environment["RAY_TMPDIR"] = str(site.home.parent)  # is removed with all that Ray leaves there
        if self.script is None:
            command, path = ["-m", "synth", "serve", "--device", site.device], "/v1/images/generations"
        else:
            path = "/predict"
            command = ["-m", f"contest.servers.{self.script}", "--form", self.form, "--device", site.device]
            command += ["--artifact", str(site.artifact)]
            options = {name: value for name, value in settings.items() if not name.isupper()}
            command += itertools.chain(*((f"--{name}", str(value)) for name, value in options.items()))
        return Server(command, environment, path, site.image_bytes, site.log)


def contenders(processors: int) -> list[Contender]:
    """Ours first, then each of the others with the model as a user writes it, and with our tuned sampler."""
    threads = _THREADS[: 1 if processors == 1 else None]
    batch_sizes = tuple({"max-batch-size": size} for size in (4, 16, 64))
    litserve = {
        "package": "litserve",
        "script": "litserve_server",
        "defaults": {"max-batch-size": 16, "batch-timeout": 0.0, "fast-queue": 0, "workers": 1},
        "search": (
            threads,
            batch_sizes,
            tuple({"batch-timeout": seconds} for seconds in (0.0, 0.002, 0.01)),
            tuple({"fast-queue": choice} for choice in (0, 1)),
            ({"workers": 1}, {"workers": 2, "OMP_NUM_THREADS": 1}),
        ),
    }
    ray = {
        "package": "ray",
        "script": "ray_server",
        "defaults": {"max-batch-size": 16, "batch-wait": 0.0, "replicas": 1},
        "search": (
            threads,
            batch_sizes,
            tuple({"batch-wait": seconds} for seconds in (0.0, 0.002, 0.01)),
            ({"replicas": 1}, {"replicas": 2, "OMP_NUM_THREADS": 1}),
            ({"RAY_SERVE_ENABLE_HA_PROXY": 0}, {"RAY_SERVE_ENABLE_HA_PROXY": 1}),
        ),
    }
    naive = {"script": "naive_server", "search": (threads,)}
    found = [Contender("ours", "tuned", search=(threads,))]
    for name, fields in (("litserve", litserve), ("ray", ray), ("naive", naive)):
        found += [Contender(f"{name} {form}", form, **fields) for form in ("eager", "tuned")]  # type: ignore[arg-type]
    return found


def best_settings(
    contender: Contender, site: Site, check: Callable[[Server], object], *, clients: int, seconds: float
) -> tuple[Settings, list[dict[str, Any]]]:
    """The settings with most images per second, and all that were tried.

    One dimension after the other, each with the best of those before. ``check`` is called with every server;
    what it, or the server, raises as ServerError puts these settings out of the question.
    """
    best: Settings = dict(contender.defaults)
    tried: list[dict[str, Any]] = []
    for dimension in contender.search:
        for choice in dimension:
            settings = {**best, **choice}
            if any(trial["settings"] == settings for trial in tried):
                continue
            found: dict[str, Any] = {"settings": settings, "images_per_second": 0.0}
            try:
                with contender.server(site, settings) as server:
                    check(server)
                    figures = server.load(clients=clients, seconds=seconds, settle_seconds=1.0)
                found |= {"images_per_second": figures.images_per_second, "p99_ms": figures.p99_ms}
            except ServerError as error:
                found["error"] = str(error)[:300]
            tried.append(found)
            rate = found.get("error") or f"{found['images_per_second']:,.0f} images/s"
            print(f"{contender.name}: {describe(settings)}: {rate}", flush=True)
        best = max(tried, key=lambda trial: trial["images_per_second"])["settings"]
    return best, tried


def describe(settings: Settings) -> str:
    """Settings on one line."""
    return ", ".join(f"{name} {value}" for name, value in settings.items()) or "defaults"


def make_site(folder: Path, device: str) -> Site:
    """A store with one small ``vae``, trained for seconds: speed does not depend on how well it draws.

    It is of the default preset, on 28 x 28 grey images of ten classes, as Fashion-MNIST has them.
    """
    home = folder / "home"
    command = ["-m", "synth", "train", "vae", "--data", "digits", "--size", "28", "--name", "benchmark"]
    subprocess.run(
        [sys.executable, *command, "--images-seen", "2000"],
        env={**os.environ, "SYNTH_HOME": str(home)},
        stderr=subprocess.DEVNULL,
        check=True,
    )
    artifact = Store(home / "store").open("benchmark")
    image = artifact.manifest.image
    size = image.height * image.width * image.channels
    return Site(home, artifact.path, size, device, folder / "servers.log")


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Its path is short, since sockets that have names of files lie in it."""
    return tempfile.TemporaryDirectory(prefix="sb", ignore_cleanup_errors=True)
