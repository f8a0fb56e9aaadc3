from __future__ import annotations

import pytest

from synth.evaluation.intervals import over_seeds


def test_the_interval_over_seeds_is_students():
    found = over_seeds([0.7, 0.8, 0.9], images=100, deviation=0.4, how="x")
    assert found.value == pytest.approx(0.8)
    assert found.high - found.value == pytest.approx(4.303 * 0.1 / 3**0.5, rel=1e-6)
    assert found.value - found.low == pytest.approx(found.high - found.value)
    assert found.how == "x; 3 seeds"


def test_one_seed_has_the_interval_of_its_test_images_and_says_so():
    found = over_seeds([0.5], images=400, deviation=0.5, how="x")
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.5 / 20)
    assert "one seed" in found.how


def test_the_interval_ends_where_the_figure_must():
    found = over_seeds([0.8, 1.0], images=10, deviation=0.1, how="", bounds=(0.0, 1.0))
    assert (found.low, found.high) == (0.0, 1.0)
