from __future__ import annotations

from typing import Any

import pytest
from worth.statistics import interval, told
from worth.table import BEGIN, END, place, render
from worth.tstr import summarise


def tstr(ratio: float, seeds: int = 3) -> dict[str, Any]:
    figures = ("kernel_distance", "precision", "recall", "density", "coverage")
    rows = [
        {
            "seed": seed,
            "real_accuracy": 0.9,
            "tstr_accuracy": 0.9 * (ratio + 0.01 * (seed - 1)),
            "ratio": ratio + 0.01 * (seed - 1),
            **dict.fromkeys(figures, 0.5),
            "near_copies": 0.002,
            "train_images_per_second": 900.0,
            "floor": {**dict.fromkeys(figures, 0.25), "near_copies": 0.0001},
        }
        for seed in range(seeds)
    ]
    return {"settings": {}, "summary": summarise(rows), "rows": rows}


def test_the_interval_is_students_and_one_seed_has_none() -> None:
    # By hand: mean 2, standard deviation 1, t(2) = 4.303.
    found = interval([1.0, 2.0, 3.0])
    assert found["mean"] == pytest.approx(2.0)
    assert found["high"] == pytest.approx(2.0 + 4.303 / 3**0.5, abs=1e-3)
    assert told(found, 1) == "2.0 ± 2.5"
    assert told(interval([0.25]), 2) == "0.25"
    with pytest.raises(ValueError, match="at least one"):
        interval([])


def test_a_line_says_what_was_obtained_missed_or_not_measured() -> None:
    text = render(
        {"quality-tstr-fashion-mnist-vae": tstr(0.95), "quality-tstr-fashion-mnist-gan": tstr(0.85)}
    )
    lines = {line.split(" | ")[0]: line for line in text.splitlines()}
    vae, gan, flow = (
        lines[f"| Fashion-MNIST, 10 min on two cores, TSTR / real, {family}"]
        for family in ("vae", "gan", "flow")
    )
    assert "0.950 ± 0.025" in vae
    assert "missed" not in vae
    assert "0.850 ± 0.025" in gan
    assert "**missed**" in gan
    assert "not measured" in flow
    assert "0.20 ± 0.00 %" in lines["| near-copies of training images, vae"]
    assert "0.250" in lines["| real images"]


def test_only_what_lies_between_the_marks_is_replaced() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = place(page, "new")
    assert once == place(once, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    with pytest.raises(ValueError, match="has no"):
        place("before\nafter\n", "new")
