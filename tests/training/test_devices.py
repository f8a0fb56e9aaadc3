"""Several devices: processes that share each batch, here two on the CPU."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

import synth.training.team
from synth.artifacts import Store
from synth.errors import ConfigError, DeviceError, InterruptedRunError, TrainingError
from synth.training.team import Followers, check_devices


@pytest.fixture
def started(monkeypatch) -> list[Followers]:
    """The followers of each training in the test."""
    kept: list[Followers] = []

    class Kept(Followers):
        def __init__(self, *arguments) -> None:
            super().__init__(*arguments)
            kept.append(self)

    monkeypatch.setattr(synth.training.team, "Followers", Kept)
    return kept


def places(folder: Path) -> dict[str, Path | Store]:
    return {"store": Store(folder / "store"), "runs": folder / "runs"}


def test_two_processes_learn_what_one_does_also_when_stopped(tiny, source, listen, started, tmp_path):
    # Of a loss that is a mean over images, the mean of two halves' gradients is the whole's.
    one, both = tmp_path / "one", tmp_path / "both"
    alone = tiny.fit(source, family="flow", **places(one)).weights()
    begun = tiny.fit(
        source, family="flow", recipe=tiny.recipe("flow", images_seen=16), **places(one)
    ).weights()
    environment = dict(os.environ)
    stop = listen(48, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(InterruptedRunError):
        tiny.fit(source, family="flow", devices=2, reporter=stop, **places(both))
    resumed = tiny.fit(source, family="flow", devices=2, resume=True, **places(both))
    found = resumed.weights()
    assert distance(found, alone) < 0.02 * distance(begun, alone)
    assert resumed.manifest.training.images_seen == 96
    assert [len(followers.processes) for followers in started] == [1, 1]
    assert all(process.poll() == 0 for followers in started for process in followers.processes)
    assert dict(os.environ) == environment
    assert not torch.distributed.is_initialized()


def distance(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    return sum(float((first[name] - second[name]).float().square().sum()) for name in first) ** 0.5


def test_a_follower_that_dies_ends_the_run_with_what_it_said(tiny, source, listen, started, tmp_path):
    kill = listen(48, lambda: started[0].processes[0].kill())
    with pytest.raises(TrainingError, match=r"device 1 ended: .*All that it said is in .*rank1\.log"):
        tiny.fit(source, devices=2, reporter=kill, **places(tmp_path))
    assert tiny.fit(source, resume=True, **places(tmp_path)).manifest.reference == "toy@1"


def test_a_follower_ends_with_its_leader(tmp_path):
    followers = Followers({"run": str(tmp_path), "device": "cpu"}, 2, tmp_path)
    process = followers.processes[0]
    process.stdin.close()  # which is what the system does when the leader is killed
    assert process.wait(60) != 0


@pytest.mark.parametrize(
    ("device", "devices", "batch", "error", "match"),
    [
        ("cpu", 0, 16, ConfigError, r"must be 1 or more, not 0"),
        ("cuda:1", 2, 16, DeviceError, r"takes the first 2; use --device cuda, not cuda:1"),
        ("cuda", 64, 64, DeviceError, r"--devices 64 .* torch sees \d+ CUDA devices"),
        (
            "cpu",
            3,
            16,
            ConfigError,
            r"A batch of 16 cannot .* to 3 devices; use --batch-size 15 or 18",
        ),
    ],
)
def test_what_cannot_be_shared_out_is_refused(device, devices, batch, error, match):
    with pytest.raises(error, match=match):
        check_devices(device, torch.device(device), devices, batch)
