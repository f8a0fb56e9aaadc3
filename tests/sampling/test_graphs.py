"""What is done with captured graphs; on the CPU, a recorder that calls again stands for the capture."""

from __future__ import annotations

import pytest
import torch
from torch.utils import _pytree as pytree

from synth.sampling.execution import Method
from synth.sampling.graphs import GraphBackend
from synth.sampling.methods import Ways
from synth.sampling.rows import Rows
from tests.sampling.toys import CPU, stepping_core, stepping_model


class Again:
    """Calls the function for each replay, and fills the first result in place, as graphs do."""

    def __init__(self) -> None:
        self.recorded = 0

    def record(self, function):
        self.recorded += 1
        result = function()

        def replay():
            pytree.tree_map_(lambda old, new: old.copy_(new), result, function())

        return result, replay


@pytest.fixture
def ways() -> Ways:
    return Ways(stepping_model(), CPU, torch.float32)


@pytest.fixture
def recorder() -> Again:
    return Again()


@pytest.fixture
def graphs(ways, recorder) -> GraphBackend:
    return GraphBackend(ways.program, torch.float32, Method("graph", "channels_last"), recorder)


def rows(count: int, seed: int) -> Rows:
    return Rows.of(seed, torch.arange(count) * 3, torch.arange(count) % 4)


def test_replays_make_the_same_pixels_as_eager_code_for_any_keys_and_parameters(ways, graphs):
    for size in (2, 5):
        graphs.prepare(rows(size, 0), {"steps": 3.0, "pull": 1.0})
    for size, seed, pull in ((2, 9, 1.0), (5, 2**64 - 1, 0.25), (2, 1, 2.0)):
        parameters = {"steps": 3.0, "pull": pull}
        expected = ways.steady_backend.run(rows(size, seed), parameters)
        assert torch.equal(graphs.run(rows(size, seed), parameters), expected)


def test_no_request_captures_anything(ways, graphs, recorder):
    graphs.prepare(rows(4, 0), {"steps": 3.0, "pull": 1.0})
    captured = recorder.recorded
    for size, steps in ((4, 3.0), (4, 5.0), (6, 3.0)):
        parameters = {"steps": steps, "pull": 1.0}
        expected = ways.steady_backend.run(rows(size, 2), parameters)
        assert torch.equal(graphs.run(rows(size, 2), parameters), expected)
    assert recorder.recorded == captured == 5


def test_replays_stop_when_nobody_is_left(ways, graphs):
    graphs.prepare(rows(4, 0), {"steps": 3.0, "pull": 1.0})
    ways.program.seen.clear()
    graphs.run(rows(4, 0), {"steps": 3.0, "pull": 1.0}, lambda: torch.zeros(4, dtype=torch.bool))
    assert ways.program.seen == []


def test_a_bucket_that_was_given_up_is_called_eagerly(graphs, recorder):
    graphs.prepare(rows(4, 0), {"steps": 1.0, "pull": 1.0})
    graphs.forget(4)
    assert graphs.run(rows(4, 1), {"steps": 1.0, "pull": 1.0}).shape == (4, 3, 8, 8)
    assert recorder.recorded == 3


@pytest.mark.cuda
def test_cuda_graphs_copies_and_exact_agree_with_eager_code():
    device = torch.device("cuda")
    core = stepping_core(device)
    core.warm_up(5.0)
    assert core.tuning is not None
    assert {trial.engine for trial in core.tuning.trials} >= {"eager", "graph"}
    for count in (1, 3, 32, 300):
        fast = core.run(core.sample_rows(count), "fast", core.defaults)
        exact = core.run(core.sample_rows(count), "exact", core.defaults)
        assert (fast.int() - exact.int()).abs().max() <= 1
        assert torch.equal(exact, core.run(core.sample_rows(count), "exact", core.defaults))


@pytest.mark.cuda
def test_cuda_and_cpu_make_the_same_images_but_for_rounding():
    device = torch.device("cuda")
    ours = stepping_core(device)
    there = ours.run(ours.sample_rows(40), "exact", ours.defaults)
    cpu = stepping_core()
    assert (there.int() - cpu.run(cpu.sample_rows(40), "exact", cpu.defaults).int()).abs().max() <= 2
