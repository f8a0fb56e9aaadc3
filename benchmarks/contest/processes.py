"""Server processes: started, waited for, watched and ended with all their children."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from contest.load import Figures, Load

_BENCHMARKS = Path(__file__).parents[1]
_START_SECONDS = 120.0
_STOP_SECONDS = 15.0
_TICK = os.sysconf("SC_CLK_TCK")


class ServerError(Exception):
    """A server did not start, or does not answer as it should."""


class Server:
    """A server on a free port of this machine, from ``with`` to the end of the block."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], path: str, image_bytes: int, log: Path
    ) -> None:
        """``command`` gets ``--port`` added; ``path`` is where it takes requests; ``log`` is appended to."""
        self._command, self._environment, self._log = command, environment, log
        self._path, self._image_bytes = path, image_bytes
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])

    def __enter__(self) -> Server:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._command, "--port", str(self.port)],
                env={**os.environ, **self._environment},
                cwd=_BENCHMARKS,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it politely, then whatever of its processes is left."""
        tree = descendants(self._process.pid)
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        for pid, started in tree.items():
            if started_at(pid) == started:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()

    def ask(self, count: int, seed: int = 0, start: int = 0) -> bytes:
        """The pixels of one request, by the standard library's client."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Content-Type": "application/json", "Accept": "application/octet-stream"}
        with contextlib.closing(connection):
            body = json.dumps({"count": count, "seed": seed, "start": start})
            connection.request("POST", self._path, body, headers)
            answer = connection.getresponse()
            pixels = answer.read()
        if answer.status != 200 or len(pixels) != count * self._image_bytes:
            raise ServerError(f"{answer.status}, {len(pixels)} bytes: {pixels[:300]!r}")
        return pixels

    def load(self, **fields: object) -> Figures:
        """What a load of these fields comes to; see ``contest.load.Load``."""
        load = Load(port=self.port, path=self._path, image_bytes=self._image_bytes, **fields)  # type: ignore[arg-type]
        try:
            return Figures(**run_module("contest.load", json.dumps(asdict(load))))
        except subprocess.CalledProcessError:
            raise ServerError("The clients gave up; their traceback is above.") from None

    def metrics(self) -> dict[str, float]:
        """Samples of /metrics by name, those with the same name summed; empty where there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            text = answer.read().decode()
        found: dict[str, float] = {}
        for line in text.splitlines() if answer.status == 200 else ():
            name, _, value = line.rpartition(" ")
            if name and not line.startswith("#"):
                name = name.partition("{")[0]
                found[name] = found.get(name, 0.0) + float(value)
        return found

    def cpu_share(self, seconds: float) -> float:
        """Share of one processor that all its processes take over the next ``seconds``."""
        before = self._cpu_seconds()
        began = time.monotonic()
        time.sleep(seconds)
        return (self._cpu_seconds() - before) / (time.monotonic() - began)

    def _cpu_seconds(self) -> float:
        total = 0
        for pid in (self._process.pid, *descendants(self._process.pid)):
            fields = _stat(pid)
            total += int(fields[11]) + int(fields[12]) if fields else 0
        return total / _TICK

    def _wait(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.ask(1)
                return
            except (OSError, http.client.HTTPException, ServerError) as error:
                if self._process.poll() is not None or time.monotonic() > end:
                    tail = self._log.read_text(errors="replace")[-1500:]
                    raise ServerError(f"It does not start ({error}):\n{tail}") from None
            time.sleep(0.1)


def run_module(name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> dict[str, float]:
    """The JSON that a module beside this one prints."""
    done = subprocess.run(
        [sys.executable, "-m", name, *arguments],
        cwd=_BENCHMARKS,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def descendants(pid: int) -> dict[int, str]:
    """Processes below one, each with the time of its start: a number may be given again."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        if fields := _stat(int(folder.name)):
            parents[int(folder.name)] = int(fields[1])
    found: dict[int, str] = {}
    level = [pid]
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        found |= {child: started_at(child) for child in level}
    return found


def started_at(pid: int) -> str:
    """Clock ticks since boot at which a process started; nothing where it has ended."""
    fields = _stat(pid)
    return fields[19] if fields else ""


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; none where it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
