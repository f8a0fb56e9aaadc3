"""What goes wrong while many clients are being served."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import pytest
import torch

from synth.errors import DeviceError

URL = "/v1/images/generations"
ASK = {"model": "pets", "count": 20, "format": "raw"}
CLIENTS = 4


class Load:
    """Clients that ask without pause until they are told to stop, or get no answer any more."""

    def __init__(self, address: str, pool: ThreadPoolExecutor) -> None:
        self.answers: list[httpx2.Response] = []
        self.stop = threading.Event()
        self._grown = threading.Condition()
        self._tasks = [pool.submit(self._ask, address, number) for number in range(CLIENTS)]

    def _ask(self, address: str, number: int) -> None:
        seed = number << 32
        with httpx2.Client(base_url=address, timeout=30) as client:
            while not self.stop.is_set():
                seed += 1
                try:
                    answer = client.post(URL, json=ASK | {"seed": seed})
                except httpx2.TransportError:
                    return
                with self._grown:
                    self.answers.append(answer)
                    self._grown.notify_all()

    def wait(self, condition) -> None:
        """Until ``condition`` holds of the last answer."""
        with self._grown:
            assert self._grown.wait_for(lambda: self.answers and condition(self.answers[-1]), 60)

    def wait_for_more(self, count: int) -> None:
        """Until there are ``count`` more answers."""
        wanted = len(self.answers) + count
        with self._grown:
            assert self._grown.wait_for(lambda: len(self.answers) >= wanted, 60)

    def end(self, *, stop: bool = True) -> list[httpx2.Response]:
        """All answers, once the clients have stopped; by themselves if they are not told to."""
        if stop:
            self.stop.set()
        for task in self._tasks:
            task.result(60)
        return self.answers


@pytest.fixture
def pool():
    with ThreadPoolExecutor(CLIENTS) as pool:
        yield pool


def test_versions_replaced_under_load_cost_no_request_and_never_mix(
    listen, store, pets, publish, fake_generator, pool
):
    class Versioned(fake_generator):
        """The first pixel of each image tells the version."""

        def run(self, rows, mode, parameters, *, wanted=None) -> torch.Tensor:
            pixels = super().run(rows, mode, parameters, wanted=wanted)
            pixels[:, 0, 0, 0] = self.card.version
            return pixels

    load = Load(listen(Versioned, watch_seconds=0.01), pool)
    load.wait_for_more(20)
    for version in range(2, 6):
        publish(store, "pets")
        load.wait(lambda answer, version=version: answer.headers["X-Synth-Model"] == f"pets@{version}")
    damaged = publish(store, "pets")
    weights = damaged.path / damaged.manifest.weights.file
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    load.wait_for_more(50)
    answers = load.end()
    assert Counter(answer.status_code for answer in answers) == {200: len(answers)}
    for answer in answers:
        versions = set(np.frombuffer(answer.content, np.uint8).reshape(20, 24)[:, 0].tolist())
        assert versions == {int(answer.headers["X-Synth-Model"].partition("@")[2])}
    assert answers[-1].headers["X-Synth-Model"] == "pets@5"


@pytest.mark.parametrize("dead", [False, True])
def test_a_device_that_fails_is_told_and_one_that_is_dead_makes_the_server_unready(
    serve, pets, fake_generator, dead
):
    calls: list[int] = []

    def fail_the_second() -> None:
        calls.append(1)
        if len(calls) == 2:
            cause = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
            raise DeviceError("The device cuda:0 failed.") from (cause if dead else MemoryError())

    client = serve(lambda artifact: fake_generator(artifact, fail_the_second))
    answers = [client.post(URL, json=ASK) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 503, 200]
    assert answers[1].json()["code"] == "device-failed"
    assert client.get("/readyz").status_code == (503 if dead else 200)


def test_sigterm_under_load_loses_no_accepted_request(store, pets, pool):
    script = Path(__file__).with_name("slow_server.py")
    process = subprocess.Popen(
        [sys.executable, str(script), str(store.root)], stderr=subprocess.PIPE, text=True
    )
    try:
        address = re.search(r"http://\S+", process.stderr.readline()).group()
        load = Load(address, pool)
        log: list[str] = []
        reading = threading.Thread(target=lambda: log.extend(process.stderr))
        reading.start()
        load.wait_for_more(200)
        process.send_signal(signal.SIGTERM)
        answers = load.end(stop=False)
        assert process.wait(60) == 0
        reading.join()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    served = Counter(
        line["status"] for line in map(json.loads, (line for line in log if line.startswith("{")))
    )
    received = Counter(answer.status_code for answer in answers)
    assert received == served
    assert received.keys() <= {200, 503}
    assert all(len(answer.content) == 20 * 24 for answer in answers if answer.status_code == 200)
