"""The parts of the domain shift benchmark that need no training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from shift import data, digits, emoji, general, table
from shift.perceptual import LpipsLike, pixel_distance
from shift.textures import on_textures, textures
from worth.table import render_lines

SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_textures_are_keyed_coloured_and_different():
    whole = textures(12, 28, seed=3)
    assert torch.equal(textures(4, 28, seed=3, start=5), whole[5:9])
    assert not torch.equal(textures(12, 28, seed=4), whole)
    assert 0 <= whole.min() < 0.1 < 0.9 < whole.max() <= 1
    assert (whole.flatten(2).std(dim=2) > 0.01).any(dim=1).all()
    assert len(torch.unique(whole.flatten(1), dim=0)) == 12


def test_digits_are_the_difference_to_their_ground():
    blank = torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
    ground = on_textures(blank, seed=1)
    assert torch.equal(ground, (textures(3, 28, seed=1) * 255).round().to(torch.uint8))
    assert torch.equal(on_textures(blank + 255, seed=1), 255 - ground)


def test_colours_of_digit_and_ground_can_be_told_apart():
    shown = torch.zeros(200, 1, 4, 4, dtype=torch.uint8)
    shown[:, :, :2] = 255
    found = general.coloured(shown, seed=0).float() / 255
    apart = (found[:, :, 0, 0] - found[:, :, 3, 3]).abs().amax(dim=1)
    assert apart.min() > 0.29


def test_data_that_are_not_there_are_named(tmp_path):
    with pytest.raises(data.MissingDataError, match=r"skipped: it needs usps, and .*usps is not there"):
        data.usps(tmp_path / "nowhere", tmp_path, True)


def test_distances_are_nothing_between_equal_images():
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert pixel_distance(images, images).tolist() == [0, 0]
    assert pixel_distance(images * 0, images * 0 + 255).tolist() == [1, 1]
    folder = SHARED / "weights-features"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    distance = LpipsLike(folder)
    assert distance(images, images).tolist() == [0, 0]
    assert (distance(images, 255 - images) > 0.05).all()


def test_pairs_of_both_artists_are_read_in_one_order():
    folder = SHARED / "emoji-pairs"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    pairs = emoji.read_pairs(folder, 32, limit=20)
    assert pairs["noto"].shape == pairs["twemoji"].shape == (20, 3, 32, 32)
    twins, others = pairs["twemoji"], pairs["twemoji"].roll(7, dims=0)
    assert pixel_distance(pairs["noto"], twins).mean() < pixel_distance(pairs["noto"], others).mean()


def row(seed: int, dann: float) -> dict:
    methods = {
        name: {"accuracy": value, "information": 0.5} for name, value in (("source", 0.7), ("dann", dann))
    }
    return {"seed": seed, "chosen": "dann", "methods": methods, "label_preservation": None}


def figures_of(*rows):
    return {"settings": {"minutes": 1.5}, "summary": digits.summarise(list(rows))}


def test_the_table_reads_gains_and_says_what_is_missed_and_what_is_missing():
    lines = {line.what: line for line in table.LINES}
    usps = lines["MNIST -> USPS, tested on real USPS"]
    results = {"domain-shift-mnist-usps": figures_of(row(0, 0.9), row(1, 0.92))}
    obtained = usps.read(results)
    assert obtained.text.startswith("source 0.700 ± 0.000, dann 0.910")
    assert obtained.text.endswith("2 seeds, 1.5 min each")
    assert obtained.met is False  # nothing was translated, and 0.95 is not reached
    textures_line = next(line for line in table.LINES if "textures in colour" in line.what)
    good = {"domain-shift-mnist-textures": figures_of(row(0, 0.9))}
    assert textures_line.read(good).met is True
    text = render_lines(results, table.LINES)
    assert text.count("not measured") == len(table.LINES) - 1
    assert "**missed**" in text
