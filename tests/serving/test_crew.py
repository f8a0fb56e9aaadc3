"""Processes that compute for the server, with a real model."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import torch

from synth.artifacts import Artifact, Store
from synth.errors import ArtifactError, DeviceError
from synth.sampling import Sampler
from synth.serving.crew import Crew


@pytest.fixture(scope="module")
def toys(tiny, tmp_path_factory) -> Artifact:
    return tiny.untrained(Store(tmp_path_factory.mktemp("crew") / "store"))


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    made = Crew(2, "32")
    made.start()
    yield made
    made.end()


def processes(crew: Crew) -> list[int]:
    """Their numbers, in the order in which they are lent first."""
    return [member._process.pid for member in reversed(crew._members)]


def images(sampler, count: int = 5, **options) -> torch.Tensor:
    work = sampler.plan(count, **options)
    return sampler.run(work.rows, work.mode, work.parameters)


def test_a_crew_makes_the_images_that_a_sampler_makes(crew, toys):
    ours, theirs = crew.open(toys), Sampler(toys, device="cpu", precision="32")
    assert torch.equal(images(ours, mode="exact", seed=7), images(theirs, mode="exact", seed=7))
    assert ours.parameters == theirs.parameters
    assert ours.fingerprint("exact") == theirs.fingerprint("exact")
    assert ours.concurrent
    pixels = images(ours)
    work = [sampler.plan(None, images=pixels, labels=0, mode="exact") for sampler in (ours, theirs)]
    made = [s.run(w.rows, w.mode, w.parameters) for s, w in zip((ours, theirs), work, strict=True)]
    assert torch.equal(*made)


def test_processes_that_were_killed_are_replaced_and_nothing_is_lost(crew, toys):
    sampler = crew.open(toys)
    work = sampler.plan(100, mode="exact")  # several buckets, between which the process asks who waits
    before = sampler.run(work.rows, work.mode, work.parameters)
    for pid in processes(crew):
        os.kill(pid, signal.SIGKILL)
    assert torch.equal(sampler.run(work.rows, work.mode, work.parameters), before)

    def kill_once() -> None:
        if not killed:
            killed.append(processes(crew)[0])
            os.kill(killed[0], signal.SIGKILL)

    killed: list[int] = []
    assert torch.equal(sampler.run(work.rows, work.mode, work.parameters, wanted=kill_once), before)
    assert killed


def test_a_batch_that_kills_its_process_again_is_an_error_that_tells_how(crew, toys):
    sampler = crew.open(toys)
    work = sampler.plan(100, mode="exact")

    def kill() -> None:
        os.kill(processes(crew)[0], signal.SIGKILL)

    with pytest.raises(DeviceError, match="signal 9"):
        sampler.run(work.rows, work.mode, work.parameters, wanted=kill)
    assert len(images(sampler)) == 5


def test_rows_that_nobody_waits_for_are_left_out_in_the_process_too(crew, toys):
    sampler = crew.open(toys)
    work = sampler.plan(96, mode="exact")
    whole = sampler.run(work.rows, work.mode, work.parameters)
    asked: list[int] = []

    def wanted() -> torch.Tensor:
        asked.append(1)
        return torch.arange(96) < 32

    some = sampler.run(work.rows, work.mode, work.parameters, wanted=wanted)
    assert torch.equal(some[:32], whole[:32])
    assert asked


def test_what_cannot_be_loaded_is_told_and_hurts_nothing_else(crew, toys, tmp_path):
    sampler = crew.open(toys)
    damaged = tmp_path / "store" / "toys" / "2"
    shutil.copytree(toys.path, damaged)
    artifact = Store(tmp_path / "store").open(toys.path)
    (damaged / "weights.safetensors").write_bytes(b"no tensors")
    object.__setattr__(artifact, "path", damaged)
    with pytest.raises(ArtifactError):
        crew.open(artifact)
    images(sampler)


def test_a_model_that_was_closed_is_loaded_again_if_it_is_still_asked_for(crew, toys):
    sampler = crew.open(toys)
    before = images(sampler, mode="exact")
    sampler.close()
    assert torch.equal(images(sampler, mode="exact"), before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_their_server_however_it_ends(toys, number):
    command = [sys.executable, "-m", "synth", "serve", "--port", "0", "--store", str(toys.path.parents[1])]
    environment = {**os.environ, "SYNTH_WORKERS": "0", "SYNTH_PROCESSES": "2"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        address = re.search(r"http://\S+", server.stderr.readline()).group()
        answer = httpx2.post(
            f"{address}/v1/images/generations", json={"count": 2, "format": "raw"}, timeout=60
        )
        assert answer.status_code == 200
        children = [os.pidfd_open(pid) for pid in _children(server.pid)]
        assert len(children) == 2
        server.send_signal(number)
        for child in children:  # becomes readable with the end of its process
            ended, _, _ = select.select([child], [], [], 60)
            assert ended
            os.close(child)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]
