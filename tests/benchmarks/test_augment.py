"""The parts of the augmentation benchmark: who is timed, and what the table says."""

from __future__ import annotations

import pytest
from augmenting import operations, table
from augmenting.cases import CASES
from augmenting.timing import rates, ratio
from worth.table import render_lines

from synth.augment.table import OPERATIONS, operation_type


def test_each_operation_on_single_samples_is_compared():
    single = {name.partition("@")[0] for name in OPERATIONS if operation_type(name).needs == "nothing"}
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
