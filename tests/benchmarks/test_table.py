from __future__ import annotations

from typing import Any

import pytest
from worth import few, sampling
from worth.lines import Obtained, few_line, rival_line, sampling_line
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


def test_the_fastest_setting_counts_that_is_worth_as_much() -> None:
    def row(seed: int) -> dict[str, Any]:
        return {
            "seed": seed,
            "images_per_second": {"plain": [10.0, 20.0], "steps=1": [100.0, 200.0], "steps=2": [70.0, 140.0]},
            "tstr_accuracy": {"plain": 0.85, "steps=1": 0.80, "steps=2": 0.847},
        }

    summary = sampling.summarise([row(0), row(1), row(2)])
    assert summary["best"] == "steps=2"
    assert summary["settings"]["steps=2"]["speed"]["mean"] == pytest.approx(7.0)
    line = sampling_line("flow").read({"flow": {"summary": summary}})
    assert line is not None
    assert line.met
    assert line.text.startswith("7.0 ± 0.0 with steps=2")


def test_synthetic_images_help_only_if_the_interval_says_so() -> None:
    def gained(*gains: float) -> Obtained | None:
        rows = [
            {"seed": number, "real": 0.7, "classical": 0.7, "synthetic": 0.7 + gain, "gain": gain}
            for number, gain in enumerate(gains)
        ]
        return few_line("vae", "few").read({"few": {"summary": few.summarise(rows)}})

    assert gained(0.03, 0.04, 0.05) == Obtained(
        "4.0 ± 2.5 points, 3 seeds (accuracy: real 0.700 ± 0.000, with classical 0.700 ± 0.000, "
        "and synthetic 0.740 ± 0.025)",
        True,
    )
    for gains in ((0.30, -0.01, 0.02), (0.01, 0.011, 0.012), (0.3,)):
        found = gained(*gains)
        assert found is not None
        assert found.met is False


def test_a_rival_is_beaten_on_both_or_not_at_all() -> None:
    ours, theirs = tstr(0.95), tstr(0.9)
    for figure, met in ((0.6, True), (0.4, False)):
        for row in theirs["rows"]:
            row["kernel_distance"] = figure
        theirs["summary"] = summarise(theirs["rows"])
        results = {"quality-tstr-fashion-mnist-vae": ours, "quality-rival-fashion-mnist-pythae": theirs}
        found = rival_line("pythae", "vae").read(results)
        assert found is not None
        assert found.met is met
