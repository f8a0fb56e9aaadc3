"""A device whose memory does not suffice."""

from __future__ import annotations

import pytest
import torch

from synth.errors import DeviceError
from synth.sampling.core import Core
from synth.sampling.costs import Costs
from synth.sampling.tuning import exact_bucket
from tests.sampling.toys import stepping_core


def starve(core: Core, monkeypatch, largest: int, error: Exception) -> list[int]:
    """Let buckets of more than ``largest`` fail; the sizes that were tried are told."""
    tried: list[int] = []
    run = core._fast.run

    def limited(rows, *rest):
        tried.append(len(rows))
        if len(rows) > largest:
            raise error
        return run(rows, *rest)

    monkeypatch.setattr(core._fast, "run", limited)
    return tried


@pytest.fixture
def core() -> Core:
    made = stepping_core()
    tuning = made.warm_up(0.05)
    costs = {1: 1.0, 8: 2.0, 16: 3.0, 32: 4.0}
    known = tuning.model_copy(update={"seconds": costs, "bytes": dict.fromkeys(costs, 1)})
    made.costs = Costs(made.exact_bucket, known)
    return made


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_the_largest_bucket_is_halved_once_and_nothing_is_lost(core: Core, monkeypatch, error: Exception):
    rows = core.sample_rows(50)
    expected = core.run(rows, "fast", core.defaults)
    tried = starve(core, monkeypatch, 16, error)
    pixels = core.run(rows, "fast", core.defaults)
    assert (pixels.int() - expected.int()).abs().max() <= 1
    assert tried.count(32) == 1
    assert max(tried[1:]) == 16
    assert core.tuning is not None
    assert max(core.tuning.seconds) == 16


def test_the_second_time_it_is_an_error_that_says_what_to_do(core: Core, monkeypatch):
    starve(core, monkeypatch, 8, torch.OutOfMemoryError("out of memory"))
    with pytest.raises(DeviceError, match="does not suffice for 16 samples at once"):
        core.run(core.sample_rows(50), "fast", core.defaults)
    # The device is not dead: what fits goes on.
    assert core.run(core.sample_rows(8), "fast", core.defaults).shape == (8, 3, 8, 8)


def test_exact_never_changes_its_bucket(core: Core, monkeypatch):
    def fail(*inputs):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(core._exact, "run", fail)
    with pytest.raises(DeviceError, match="does not suffice"):
        core.run(core.sample_rows(4), "exact", core.defaults)


def test_other_errors_of_the_network_are_not_taken_for_it(core: Core, monkeypatch):
    starve(core, monkeypatch, 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        core.run(core.sample_rows(4), "fast", core.defaults)


@pytest.mark.parametrize(("megabytes", "size"), [(0.2, 32), (14.7, 8), (100.0, 1), (10_000.0, 1)])
def test_the_bucket_of_exact_follows_from_the_size_of_the_network(megabytes: float, size: int):
    assert exact_bucket(int(megabytes * 2**20), torch.device("cpu")) == size
