"""The parts of the augmentation benchmark: who is timed, and what the table says."""

from __future__ import annotations

import pytest
import torch
from augmenting import adversarial, operations, study, table
from augmenting.cases import CASES
from augmenting.timing import rates, ratio
from worth.table import render_lines

from synth.augment.table import OPERATIONS, operation_type
from synth.data import ImageSet


def test_each_operation_on_single_samples_is_compared():
    single = {name.partition("@")[0] for name in OPERATIONS if not operation_type(name).needs}
    assert single | {"basic"} == set(CASES)


def test_rates_count_images_and_ratios_are_medians_of_rounds():
    found = rates({"one": lambda: sum(range(1000)), "two": lambda: sum(range(4000))}, 10, 0.001, 3)
    assert {name: len(values) for name, values in found.items()} == {"one": 3, "two": 3}
    assert ratio({"a": [4.0, 9.0, 8.0], "b": [2.0, 1.0, 2.0]}, "a", "b") == 4.0


@pytest.mark.parametrize(("least", "missed"), [(1.2, False), (0.9, True)])
def test_a_slower_operation_misses_the_target(least, missed):
    cell = {
        "images_per_second": {"Pipeline.run": 12345, "torchvision": 10},
        "ratio": {"torchvision": least},
        "own_cost": 0.07,
    }
    lines = dict.fromkeys((*CASES, *operations.PIPELINES), dict.fromkeys(operations.SHAPES, cell))
    results = {operations.RESULT: {"operations": lines}}
    told = render_lines(results, table.LINES)
    assert ("**missed**" in told) is missed
    assert "one of 32 px: 7 %" in told
    assert f"| blur | 12,345; {least}, -, - |" in "\n".join(table.speeds(results))


def clothes(count=140):
    images = (torch.arange(count * 784) % 255).to(torch.uint8).reshape(count, 1, 28, 28)
    return ImageSet(images, torch.arange(count) % 4, tuple(map(str, range(count))), tuple("abcd"), (), "here")


@pytest.mark.parametrize("policy", study.POLICIES)
def test_each_policy_is_trained_with_and_tested(policy):
    row = study.measure(clothes(), clothes(20), 140, policy, seed=0, images_seen=150)
    assert 0 <= row["error"] <= 1
    images, labels = study.batches(clothes(), policy, 0)(torch.arange(9), 1)
    assert images.shape == (9, 1, 28, 28)
    assert labels.shape == ((9, 4) if policy in ("mixup", "cutmix") else (9,))


def rows_of(size, **errors):
    return [
        {"size": size, "policy": name, "seed": seed, "error": error}
        for name, values in errors.items()
        for seed, error in enumerate(values)
    ]


def test_gains_are_paired_by_seed_and_the_table_tells_them():
    rows = rows_of(500, none=[0.21, 0.31], basic=[0.2, 0.3], mixup=[0.18, 0.28])
    rows += rows_of(60_000, basic=[0.07, 0.07], random_erasing=[0.065, 0.066])
    summary = study.summarise(rows)
    assert summary["500"]["mixup"]["gain"]["mean"] == pytest.approx(0.02)
    assert summary["500"]["mixup"]["gain"]["low"] == pytest.approx(0.02)
    assert summary["500"]["none"]["gain"]["mean"] == pytest.approx(-0.01)
    results = {study.RESULT: {"summary": summary}}
    text = "\n".join(table.worths(results))
    assert "500 images (2 seeds) | 60,000 images (2 seeds)" in text
    assert "| mixup | 23.00 ± 63.53; +2.00 ± 0.00 |  |" in text
    line = table.erasing_line().read(results)
    assert line is not None
    assert (line.met, line.text) == (True, "7.00 ± 0.00 % -> 6.55 ± 0.64 %, 2 seeds")


@pytest.mark.parametrize(
    ("robust", "masked", "missed"), [(0.9, False, False), (0.8, False, True), (0.9, True, True)]
)
def test_robustness_counts_only_where_gradients_are_not_masked(robust, masked, missed):
    row = {"seed": 0, "clean": 0.98, "fgsm": 0.95, "pgd": robust, "rays": 0.91, "worst": 0.89, "seconds": 600}
    figures = {
        "settings": {"count": 2000, "restarts": 2},
        "summary": adversarial.summarise([{**row, "checks": 5 / 6 if masked else 1.0}]),
    }
    told = render_lines({adversarial.RESULT: figures}, [table.adversarial_line()])
    assert f"{robust:.3f} with 0.980, 1 seed; RayS 0.910, all attacks 0.890" in told
    assert ("**missed**" in told) is missed
