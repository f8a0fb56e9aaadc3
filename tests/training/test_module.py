"""Schedules, averages and budgets."""

from __future__ import annotations

import pytest
import torch

from synth.models.program import ImageShape
from synth.training.budget import Budget
from synth.training.pace import eased
from synth.training.vae import VAEModule


@pytest.fixture
def module(tiny):
    def build(**changes) -> VAEModule:
        return VAEModule(tiny.recipe(**changes), ImageShape(1, 8, 8), 0)

    return build


def step_response(module, images: int, batch: int) -> float:
    """How much of the final weights the average holds, if they jumped from 0 to 1 after half of the run."""
    weight, average = next(zip(module.network.parameters(), module.average.parameters(), strict=True))
    with torch.no_grad():
        for seen in range(batch, images + 1, batch):
            weight.fill_(float(seen > images // 2))
            module.update_average(seen, batch)
    return float(average.flatten()[0])


def test_the_average_of_a_short_run_holds_little_of_its_beginning(module):
    # With a half-life of 5 % of what was seen, the weight of all before x is (x / end) ** (ln 2 / 0.05).
    assert step_response(module(ema_share=0.05), 64_000, 64) == pytest.approx(
        1 - 0.5 ** (0.6931 / 0.05), abs=1e-5
    )


def test_the_half_life_is_capped(module):
    built = module(ema_share=0.5, ema_cap=1000)
    # From half of 8000 images on: four half-lives.
    assert step_response(built, 8000, 10) == pytest.approx(1 - 0.5**4, abs=0.01)


def test_an_average_over_nothing_is_the_weights_themselves(module):
    built = module(ema_share=0.0)
    with torch.no_grad():
        for weight in built.network.parameters():
            weight.add_(1.0)
    built.update_average(16, 16)
    for average, weight in zip(built.average.parameters(), built.network.parameters(), strict=True):
        assert torch.equal(average, weight)


def test_after_the_first_step_the_average_is_close_to_the_weights(module):
    built = module()
    with torch.no_grad():
        for weight in built.network.parameters():
            weight.add_(1.0)
    built.update_average(16, 16)
    for average, weight in zip(built.average.parameters(), built.network.parameters(), strict=True):
        torch.testing.assert_close(average, weight, atol=1e-5, rtol=0)


def test_the_learning_rate_rises_then_falls_to_a_fiftieth(module):
    built = module(learning_rate=1.0, warmup=0.1)
    rates = []
    for built.progress in (0.0, 0.05, 0.1, 0.5, 1.0):
        rates.append(built.learning_rate())
    assert rates == pytest.approx([0.001, 0.5, 0.976, 0.51, 0.02], abs=0.01)


def test_initial_weights_follow_the_seed_and_leave_torchs_generator_alone(tiny, source):
    before = torch.get_rng_state()
    first, again, other = (
        tiny.fit(source, recipe=tiny.recipe(seed=seed, images_seen=1)).manifest.digest
        for seed in (0, 0, 2**64 - 1)
    )
    assert first == again != other
    assert torch.equal(torch.get_rng_state(), before)


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def test_a_budget_of_minutes_counts_the_seconds_of_all_parts(tiny, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("synth.training.budget.time", clock)
    recipe = tiny.recipe(images_seen=None, minutes=2)
    budget = Budget(recipe, images_seen=10_000, earlier_seconds=30.0)
    assert budget.progress == pytest.approx(30 / 116.4)  # 3 % are kept for what follows the last step
    budget.keep_back(20.0)
    assert budget.progress == pytest.approx(30 / 100)
    clock.now += 20
    assert budget.seconds == 50.0
    assert budget.progress == pytest.approx(0.5)
    clock.now += 1000
    assert budget.progress == 1.0


def test_a_training_by_the_clock_ends_with_it(tiny, source, monkeypatch, listen):
    clock = Clock()
    monkeypatch.setattr("synth.training.budget.time", clock)

    class Ticking(listen):
        def progress(self, share, images_seen, seconds, figures) -> None:
            super().progress(share, images_seen, seconds, figures)
            clock.now += 20

    artifact = tiny.fit(source, recipe=tiny.recipe(images_seen=None, minutes=1), reporter=Ticking())
    # After 0, 20, 40 and 60 seconds; 57 are for steps.
    assert artifact.manifest.training.images_seen == 64
    assert artifact.manifest.training.seconds == 80.0


def test_a_budget_of_images_ignores_the_clock(tiny):
    assert Budget(tiny.recipe(images_seen=64), images_seen=48).progress == 0.75
    assert Budget(tiny.recipe(images_seen=64), images_seen=80).progress == 1.0


def test_the_first_hundred_steps_of_a_warm_start_are_eased(tiny):
    warm = tiny.recipe(warm_start="first", images_seen=16 * 10_000)
    assert [eased(warm, 16 * step) for step in (0, 49, 99, 5_000)] == pytest.approx([0.01, 0.5, 1.0, 1.0])
    assert eased(tiny.recipe(warm_start="first", images_seen=16 * 40), 16 * 9) == pytest.approx(1.0)
    assert eased(tiny.recipe(), 0) == 1.0
