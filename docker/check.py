#!/usr/bin/env python3
"""Run the steps of the Dockerfile without Docker: docker/check.py [cpu|cuda].

Every RUN, COPY and ENV of the target and the stages below it is carried out in a scratch folder, in which
the image's absolute paths are placed; then the server is started as the image starts it, asked by the
health check, and stopped. What is not shown by it: the base image, users and file ownership.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_IMAGE_PATHS = re.compile(r"(?<![\w./-])/(opt|src|data)\b")
_ONLY_IN_CONTAINERS = ("useradd", "chown")
_PATIENCE_SECONDS = 120


@dataclass
class Stage:
    """One FROM and the steps after it, as (instruction, rest of the line)."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def last(self, instruction: str) -> str:
        """What the last such instruction says; there must be one."""
        return next(rest for name, rest in reversed(self.steps) if name == instruction)


def read_stages(dockerfile: Path) -> dict[str, Stage]:
    """The stages of a Dockerfile by name; every FROM must have an AS."""
    text = re.sub(r"\\\n\s*", "", dockerfile.read_text(encoding="utf-8"))
    stages: dict[str, Stage] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            stage = stages[name] = Stage(name, base)
        else:
            stage.steps.append((instruction, rest.strip()))
    return stages


def chain(stages: dict[str, Stage], target: str) -> list[Stage]:
    """The stages that make up a target, the lowest first; stages it copies from come before it."""
    stage = stages[target]
    needed = [stage.base] if stage.base in stages else []
    needed += [source for source, _, _ in copies(stage) if source is not None]
    below: list[Stage] = []
    for name in needed:
        below += [other for other in chain(stages, name) if other not in below]
    return [*below, stage]


def copies(stage: Stage) -> Iterator[tuple[str | None, list[str], str]]:
    """Each COPY of a stage: the stage copied from (None: the build context), what, and where to."""
    for instruction, rest in stage.steps:
        if instruction == "COPY":
            yield read_copy(rest)


def read_copy(rest: str) -> tuple[str | None, list[str], str]:
    """One COPY, see ``copies``."""
    words = shlex.split(rest)
    source = None
    if words[0].startswith("--from="):
        source = words.pop(0).removeprefix("--from=")
    return source, words[:-1], words[-1]


class Scratch:
    """The folder that stands for the image."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.workdir = root
        self.environment = dict(os.environ)
        tools = root / "stand-ins"
        subprocess.run([sys.executable, "-m", "venv", str(root / "base")], check=True)
        tools.mkdir()
        for name in _ONLY_IN_CONTAINERS:
            (tools / name).write_text(
                f'#!/bin/sh\necho "(only in a container: {name} $*)"\n', encoding="utf-8"
            )
            (tools / name).chmod(0o755)
        self.environment["PATH"] = f"{tools}:{root / 'base' / 'bin'}:{os.environ['PATH']}"

    def place(self, text: str) -> str:
        """Text of the Dockerfile with the image's paths in the scratch folder, and no address but our own."""
        return _IMAGE_PATHS.sub(lambda found: f"{self.root}{found[0]}", text).replace("0.0.0.0", "127.0.0.1")

    def step(self, instruction: str, rest: str) -> None:
        """Carry out one step; instructions that only describe the image are left out."""
        if instruction == "WORKDIR":
            self.workdir = Path(self.place(rest))
            self.workdir.mkdir(parents=True, exist_ok=True)
        elif instruction == "ENV":
            name, _, value = self.place(rest).partition("=")
            self.environment[name] = value.replace("$PATH", self.environment["PATH"])
        elif instruction == "COPY":
            self._copy(*read_copy(rest))
        elif instruction == "RUN":
            print(f"RUN {rest}", flush=True)
            subprocess.run(self.place(rest), shell=True, cwd=self.workdir, env=self.environment, check=True)

    def _copy(self, source: str | None, names: list[str], target: str) -> None:
        if source is not None:
            return  # all stages share the scratch folder, so that it is there already
        for name in names:
            print(f"COPY {name} {target}", flush=True)
            path = ROOT / name
            if path.is_dir():
                shutil.copytree(path, self.workdir / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, self.workdir / target)

    def serve(self, stage: Stage, below: list[Stage]) -> None:
        """Start what the image starts, wait for the health check to pass, and stop it as Docker does."""
        everything = Stage("", "", [step for part in (*below, stage) for step in part.steps])
        command, arguments, health = (everything.last(name) for name in ("ENTRYPOINT", "CMD", "HEALTHCHECK"))
        words = [self.place(word) for word in (*json.loads(command), *json.loads(arguments))]
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.environment["SYNTH_PORT"] = str(listener.getsockname()[1])
        print(" ".join(words), flush=True)
        server = subprocess.Popen(words, cwd=self.root, env=self.environment)
        try:
            self._wait(server, health.partition("CMD ")[2])
            server.send_signal(signal.SIGTERM)
            if server.wait(timeout=60) != 0:
                sys.exit(f"the server ended with {server.returncode} on SIGTERM")
        finally:
            if server.poll() is None:
                server.kill()
                server.wait()

    def _wait(self, server: subprocess.Popen[bytes], question: str) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while subprocess.run(
            question, shell=True, env=self.environment, stderr=subprocess.DEVNULL
        ).returncode:
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit("the server ended, or does not answer the health check")
            time.sleep(0.5)


def main(target: str = "cpu") -> None:
    """Run all steps of a target; the scratch folder is removed in the end."""
    stages = chain(read_stages(ROOT / "docker" / "Dockerfile"), target)
    with tempfile.TemporaryDirectory(prefix="synth-image-") as folder:
        scratch = Scratch(Path(folder))
        for stage in stages:
            print(f"== {stage.name}", flush=True)
            scratch.workdir = scratch.root
            for instruction, rest in stage.steps:
                scratch.step(instruction, rest)
        scratch.serve(stages[-1], stages[:-1])
    print(f"The steps of {target} work.")


if __name__ == "__main__":
    main(*sys.argv[1:2])
