"""The core on a small network of random weights; what users see of it is in test_sampler."""

from __future__ import annotations

import pytest
import torch

from synth.models.flow import Flow, FlowProgram
from synth.models.program import ImageShape
from synth.models.vae import VAE, VAEProgram
from synth.sampling import tuning_cache
from synth.sampling.backends import EagerBackend
from synth.sampling.core import Core
from synth.sampling.execution import Method
from synth.sampling.methods import Model
from synth.sampling.prepare import PrecisionWarning, cast, prepare
from synth.sampling.rows import Rows
from synth.sampling.tuning import Tuning

CPU = torch.device("cpu")
PARAMETERS = {"spread": 1.0, "strength": 1.0}


def model(seed: int = 0) -> Model:
    config = {"widths": [8, 16], "blocks": 1, "latent": 4, "components": 2}
    image = ImageShape(3, 9, 13)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = VAE(config, image, 3).eval().requires_grad_(False)
        for weight in network.parameters():  # the zeros that training begins with would hide differences
            weight.add_(0.05 * torch.randn_like(weight))
    return Model(network, VAEProgram, image, 3)


def core(seconds: float = 0.2) -> Core:
    made = Core(model(), CPU, torch.float32)
    if seconds:
        made.warm_up(seconds)
    return made


def run(core: Core, index: torch.Tensor, mode: str = "exact", seed: int = 7) -> torch.Tensor:
    return core.run(Rows.of(seed, index, index % 3), mode, PARAMETERS)


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_a_sample_does_not_depend_on_the_request_it_is_in(mode: str):
    one = core()
    random = torch.Generator().manual_seed(1)
    everything = run(one, torch.arange(150), mode)
    for count in (1, 2, 31, 32, 33, 70):
        chosen = torch.randperm(150, generator=random)[:count]
        difference = (run(one, chosen, mode).int() - everything[chosen].int()).abs().max()
        assert difference <= (0 if mode == "exact" else 1)


def test_exact_bytes_survive_restarts_and_other_measurements():
    first, second = core(0.0), core(0.3)
    assert torch.equal(run(first, torch.arange(40)), run(second, torch.arange(40)))


def test_warm_up_tells_what_it_measured():
    tuning = core().tuning
    assert tuning is not None
    assert 1 in tuning.seconds
    assert all(seconds > 0 for seconds in tuning.seconds.values())
    assert tuning.bytes[1] > 3 * 9 * 13
    assert {(trial.engine, trial.layout) for trial in tuning.trials} >= {("eager", "contiguous")}


def test_what_was_found_is_used_again(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path))
    first = core()
    key = {"digest": "a", "threads": 2}
    tuning_cache.write("toy@1", key, first.tuning)
    known = tuning_cache.read(key)
    assert known == first.tuning
    assert tuning_cache.read({**key, "threads": 3}) is None
    assert [kept.model for kept in tuning_cache.entries()] == ["toy@1"]
    second = core(0.0)
    assert second.warm_up(1.0, known) is known
    assert torch.equal(run(first, torch.arange(20), "fast"), run(second, torch.arange(20), "fast"))


@pytest.mark.parametrize("content", [b"", b"{", b'{"engine": "magic"}'])
def test_a_cache_that_cannot_be_read_is_no_cache(tmp_path, monkeypatch, content: bytes):
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path))
    tuning_cache.write("toy@1", {"digest": "a"}, core().tuning)
    (file,) = (tmp_path / "cache" / "tuning").iterdir()
    file.write_bytes(content)
    assert tuning_cache.read({"digest": "a"}) is None
    assert tuning_cache.entries() == []


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path / "file"))
    tuning = core().tuning
    assert tuning is not None
    tuning_cache.write("toy@1", {"digest": "a"}, tuning)


def test_buckets_that_do_not_fit_into_memory_are_not_offered(monkeypatch):
    monkeypatch.setattr("synth.sampling.tuning._MOST_BYTES", 1)
    tuning = core().tuning
    assert isinstance(tuning, Tuning)
    assert set(tuning.seconds) == {1}


def test_reduced_precision_that_changes_the_images_is_given_up(monkeypatch):
    def spoil(network, dtype):
        cast(network, dtype)
        for weight in network.parameters():
            weight.data.mul_(3.0)

    monkeypatch.setattr("synth.sampling.prepare.cast", spoil)
    with pytest.warns(PrecisionWarning, match="precision 32 is used"):
        made, precision = prepare(model(), CPU, "bf16")
    assert precision == "32"
    assert torch.equal(run(made, torch.arange(4)), run(core(0.0), torch.arange(4)))


def test_a_failed_device_is_told_at_once_ever_after(monkeypatch):
    from synth.errors import DeviceError

    made = core(0.0)

    def fail(*inputs):
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(made._exact, "run", fail)
    with pytest.raises(DeviceError, match="failed"):
        run(made, torch.arange(2))
    monkeypatch.undo()
    with pytest.raises(DeviceError, match="restart"):
        run(made, torch.arange(2))


@pytest.mark.slow
def test_compiled_code_makes_the_same_images_and_never_compiles_for_a_request():
    from synth.sampling.backends import InductorBackend

    made = core(0.0)
    eager = run(made, torch.arange(32), "exact")
    backend = InductorBackend(made.program, torch.float32, Method("inductor", "contiguous"))
    rows = made.sample_rows(32)
    backend.prepare(rows, made.defaults)
    for seed, spread in ((7, 1.0), (8, 0.5), (2**64 - 1, 2.0)):
        other = Rows.of(seed, rows.index, rows.labels)
        pixels = backend.run(other, {**PARAMETERS, "spread": spread})
        if seed == 7:
            assert (pixels.int() - eager.int()).abs().max() <= 1
    with pytest.raises(RuntimeError):
        backend.run(made.sample_rows(33), made.defaults)


@pytest.mark.slow
def test_a_compiled_network_takes_the_same_steps_and_never_compiles_for_a_request():
    from tests.sampling.toys import stepping_core

    torch._dynamo.utils.counters.clear()
    made = stepping_core()
    rows = made.sample_rows(8)
    backend = made._ways.backend(Method("inductor", "contiguous"))
    backend.prepare(rows, made.defaults)
    compiled = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert compiled == 1
    for count, changes in ((8, {}), (8, {"pull": 0.5}), (8, {"steps": 5}), (9, {})):
        expected = made._fast.run(made.sample_rows(count), {**made.defaults, **changes})
        pixels = backend.run(made.sample_rows(count), {**made.defaults, **changes})
        assert (pixels.int() - expected.int()).abs().max() <= 1
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == compiled


@pytest.mark.slow
def test_compiled_code_serves_all_networks_of_one_kind():
    """A flow's student is never prepared, and must not run eagerly for that."""
    image = ImageShape(1, 8, 8)
    config = {"widths": [8, 8], "blocks": 1, "patch": 2, "attention": False, "student_calls": 2}
    network = Flow(config, image, 2).eval().requires_grad_(False)
    made = Core(Model(network, FlowProgram, image, 2), CPU, torch.float32)
    backend = made._ways.backend(Method("inductor", "contiguous"))
    rows = made.sample_rows(8)
    backend.prepare(rows, made.defaults)
    student = {**made.defaults, "solver": "student"}
    with torch.compiler.set_stance("fail_on_recompile"):
        pixels = EagerBackend.run(backend, rows, student)
    assert (pixels.int() - made._fast.run(rows, student).int()).abs().max() <= 1
