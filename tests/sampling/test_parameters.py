"""Sampling parameters: what is refused, and what structural ones mean to captured code and to predictions."""

from __future__ import annotations

import pytest
import torch

from synth.errors import UsageError
from synth.models.program import Parameter, TextParameter
from synth.sampling.backends import as_data
from synth.sampling.costs import Costs
from synth.sampling.requests import check_parameters, read_parameters
from synth.sampling.tuning import Tuning
from tests.sampling.toys import CPU, stepping_core

KNOWN = (
    Parameter("steps", 20, 1, 1_000, "", whole=True, structural=True),
    Parameter("guidance", 7.5, 0.0, 30.0, ""),
    TextParameter("solver", "heun", "", choices=("euler", "heun")),
    TextParameter("prompt", "", "", most_characters=10),
)


class Card:
    reference = "toy@1"


def check(**given):
    return check_parameters(Card, KNOWN, given)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("steps", 2.5, "steps must be a whole number from 1 to 1000, not 2.5"),
        ("steps", "4", "steps must be a whole number from 1 to 1000, not '4'"),
        ("steps", 10**400, "steps must be a whole number from 1 to 1000"),
        ("steps", float("nan"), "steps must be a whole number"),
        ("solver", "huen", r"solver must be one of euler, heun, not 'huen' \(did you mean 'heun'\?\)"),
        ("solver", 3, "solver must be one of euler, heun, not 3"),
        ("prompt", 3, "prompt must be a text, not 3"),
        ("prompt", "x" * 11, "prompt may have at most 10 characters; this one has 11"),
        ("prompt", "a\x00b", "prompt must be a text without control characters"),
        ("prompt", "\ud800", "prompt must be a text without control characters"),
        ("promt", "cat", r"no parameter 'promt' \(did you mean 'prompt'\?\)"),
    ],
)
def test_a_value_that_cannot_be_is_refused(name, value, message):
    with pytest.raises(UsageError, match=message):
        check(**{name: value})


def test_values_are_completed_and_have_their_types():
    values = check(steps=4.0, prompt="ein Bär\n")
    assert values == {"steps": 4, "guidance": 7.5, "solver": "heun", "prompt": "ein Bär\n"}
    assert type(values["steps"]) is int


def test_texts_are_read_as_what_the_model_takes():
    texts = {"steps": "4", "guidance": "high", "prompt": "3", "unknown": "1"}
    assert read_parameters(KNOWN, texts) == {"steps": 4.0, "guidance": "high", "prompt": "3", "unknown": "1"}


def test_structural_values_stay_and_the_others_become_tensors():
    class Program:
        parameters = KNOWN

    values = as_data(Program, check(guidance=2), CPU)
    assert (values["steps"], values["solver"], values["prompt"]) == (20, "heun", "")
    assert torch.equal(values["guidance"], torch.tensor(2.0))


def test_predicted_time_grows_with_the_steps_that_are_asked_for():
    tuning = Tuning(
        engine="eager", layout="contiguous", seconds={4: 0.2}, bytes={4: 1}, exact_seconds=0.4, trials=[],
        warmup_seconds=0, steps=20,
    )  # fmt: skip
    costs = Costs(4, tuning)
    assert costs.seconds(8, "fast") == costs.seconds(8, "fast", 20) == pytest.approx(0.4)
    assert costs.seconds(8, "fast", 40) == pytest.approx(0.8)
    assert costs.seconds(4, "exact", 5) == pytest.approx(0.1)


def test_activations_are_those_of_one_step():
    core = stepping_core()
    assert core.bytes_per_sample == 3 * 8 * 8 * 4
    assert core.warm_up(0.01).steps == 3
