"""The workers of a server: processes of their own that do its jobs, started again when they die."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import secrets
import signal
import sys
from collections.abc import Callable

from synth.errors import OverloadError, StorageError
from synth.jobs import Queue
from synth.serving.settings import ServerSettings

_COMMAND = (sys.executable, "-m", "synth.jobs.worker", "--supervised", "--name")
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_STEADY_SECONDS = 60.0
"""A worker that has lived so long was no failure at the start."""


class Workers:
    """For one event loop. ``start``, then ``terminate`` and ``stop``; ``kill`` at any time."""

    def __init__(self, settings: ServerSettings, queue: Queue, say: Callable[[str], None]) -> None:
        self._count, self._queue, self._say = settings.workers, queue, say
        self._environment = _environment(settings)
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._processes: set[asyncio.subprocess.Process] = set()

    def start(self) -> None:
        """Start them, and look after them."""
        self._tasks = [asyncio.create_task(self._supervise()) for _ in range(self._count)]

    def terminate(self) -> None:
        """Tell them to save, give their jobs back and end."""
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End them at once; their jobs go on elsewhere."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def stop(self, seconds: float) -> None:
        """Wait until they have ended, and kill them after so many seconds."""
        self.terminate()
        if self._tasks:
            _, pending = await asyncio.wait(self._tasks, timeout=max(0.0, seconds))
            if pending:
                self.kill()
                await asyncio.wait(pending)

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            name = f"{platform.node()[:60]}-{os.getpid()}-{secrets.token_hex(4)}"
            began = loop.time()
            code = await self._live(name)
            if code != 0:  # its job need not wait until its lease has run out
                with contextlib.suppress(OverloadError, StorageError):
                    await asyncio.to_thread(self._queue.lapse, name)
            if self._stopping.is_set():
                return
            pause = _FIRST_PAUSE if loop.time() - began >= _STEADY_SECONDS else pause
            self._say(f"A worker has ended ({_reason(code)}); another one starts in {pause:g} s.")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    async def _live(self, name: str) -> int:
        process = await asyncio.create_subprocess_exec(
            *_COMMAND,
            name,
            stdin=asyncio.subprocess.PIPE,  # closed with this process, however it ends
            env=self._environment,
            start_new_session=True,  # Ctrl-C is for the server, which then stops its workers in order
        )
        self._processes.add(process)
        try:
            if self._stopping.is_set():  # while it was being started
                process.terminate()
            return await process.wait()
        finally:
            self._processes.discard(process)

    def _signal(self, number: int) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)


def _environment(settings: ServerSettings) -> dict[str, str]:
    """What the server's flags have settled, for its workers; arguments could be seen by everybody."""
    settled = {
        "SYNTH_STORE": str(settings.store.absolute()),
        "SYNTH_DEVICE": settings.device,
        "SYNTH_PRECISION": settings.precision,
        "SYNTH_DATABASE": settings.database or "",
        "SYNTH_JOBS_FOLDER": str(settings.jobs_folder.absolute()),
        "SYNTH_LEASE_SECONDS": str(settings.lease_seconds),
        "SYNTH_JOBS_KEEP_DAYS": "" if settings.jobs_keep_days is None else str(settings.jobs_keep_days),
    }
    return {**os.environ, **settled}


def _reason(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
