"""A family that steps by itself, with an optimiser for each of its parts."""

from __future__ import annotations

import os
import signal

import pytest
import torch

import synth.training.vae
from synth.artifacts import Store
from synth.errors import InterruptedRunError, NonFiniteError
from synth.models.program import ImageShape
from synth.training.vae import VAEModule


class Alternating(VAEModule):
    """Encoder and decoder take turns within a step; the decoder learns at half the rate."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.automatic_optimization = False
        self.rates: list[list[float]] = []

    def configure_optimizers(self):
        return [
            torch.optim.Adam(self.network.encoder.parameters()),
            torch.optim.Adam([{"params": self.network.decoder.parameters(), "rate_factor": 0.5}]),
        ]

    def training_step(self, batch, _):
        for optimiser in self.optimizers():
            loss = super().training_step(batch, _)
            optimiser.zero_grad()
            self.manual_backward(loss)
            optimiser.step()
        self.rates.append([optimiser.param_groups[0]["lr"] for optimiser in self.optimizers()])


@pytest.fixture
def modules(monkeypatch) -> list[Alternating]:
    built: list[Alternating] = []

    def build(*arguments):
        built.append(Alternating(*arguments))
        return built[-1]

    monkeypatch.setattr(synth.training.vae, "VAEModule", build)
    return built


def test_each_optimiser_follows_the_schedule_by_its_own_factor(modules, source, tiny, tmp_path):
    before = Alternating(tiny.recipe(), ImageShape(1, 8, 8), 2).network
    tiny.fit(source, store=Store(tmp_path / "store"), runs=tmp_path / "runs")
    rates = modules[0].rates
    assert len(rates) == 6
    assert len({first for first, _ in rates}) > 1
    assert all(second == pytest.approx(first / 2) for first, second in rates)
    after = modules[0].network
    for part in ("encoder", "decoder"):
        old, new = (next(getattr(one, part).parameters()) for one in (before, after))
        assert not torch.equal(old, new)


def test_a_stopped_run_of_several_optimisers_goes_on_bit_for_bit(modules, source, tiny, listen, tmp_path):
    whole = tiny.fit(source, store=Store(tmp_path / "whole"), runs=tmp_path / "whole-runs")
    options = {"store": Store(tmp_path / "store"), "runs": tmp_path / "runs"}
    with pytest.raises(InterruptedRunError):
        tiny.fit(source, reporter=listen(48, lambda: os.kill(os.getpid(), signal.SIGINT)), **options)
    assert tiny.fit(source, resume=True, **options).manifest.digest == whole.manifest.digest


def test_what_a_family_adds_to_its_state_is_there_again_when_it_goes_on(
    modules, source, tiny, listen, monkeypatch, tmp_path
):
    told = []
    state, restore = Alternating.state, Alternating.restore

    def remember(self, saved):
        restore(self, saved)
        told.append(saved["steps"])

    monkeypatch.setattr(Alternating, "state", lambda self: {**state(self), "steps": len(self.rates)})
    monkeypatch.setattr(Alternating, "restore", remember)
    options = {"store": Store(tmp_path / "store"), "runs": tmp_path / "runs"}
    with pytest.raises(InterruptedRunError):
        tiny.fit(source, reporter=listen(48, lambda: os.kill(os.getpid(), signal.SIGINT)), **options)
    tiny.fit(source, resume=True, **options)
    assert told == [3]


def test_weights_of_any_optimiser_that_become_nan_end_the_run(modules, source, tiny, listen, tmp_path):
    def spoil() -> None:
        with torch.no_grad():
            next(modules[0].network.decoder.parameters()).fill_(torch.nan)

    with pytest.raises(NonFiniteError):
        tiny.fit(source, reporter=listen(48, spoil), store=Store(tmp_path / "s"), runs=tmp_path / "r")
