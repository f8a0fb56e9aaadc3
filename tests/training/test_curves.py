"""Curves on validation images."""

from __future__ import annotations

import csv

import torch

from synth.data import load_images, open_source
from synth.training.curves import Curves
from synth.training.parts import split_domains
from synth.training.preparing import build_module
from synth.training.runs import latest_run


def rows(name="toy"):
    with (latest_run(name).path / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_training_logs_validation_figures_and_the_drift_of_its_samples(tiny, tmp_path):
    source = tiny.source(tmp_path / "data.npz", count=300, channels=3)
    tiny.fit(source, recipe=tiny.recipe(validation=0.4))
    found = {row["name"] for row in rows()}
    assert {"validation/reconstruction_rmse", "validation/kl_nats"} <= found
    assert {"drift/brightness", "drift/contrast", "drift/sharpness", "drift/red_mean"} <= found
    previews = {path.stem.lstrip("0") for path in (latest_run("toy").path / "previews").iterdir()}
    assert {row["images_seen"] for row in rows() if row["name"] == "drift/brightness"} == previews


def test_with_few_validation_images_there_is_no_drift_and_no_nonsense(tiny, tmp_path):
    tiny.fit(tiny.source(tmp_path / "data.npz", count=40))
    found = {row["name"] for row in rows()}
    assert "validation/kl_nats" in found
    assert not {name for name in found if name.startswith("drift/")}
    assert all(row["value"] not in ("nan", "inf") for row in rows())


def test_measuring_changes_nothing_and_repeats(tiny, tmp_path):
    images = load_images(open_source(tiny.source(tmp_path / "data.npz", count=120)))
    module = build_module("vae", tiny.recipe(), split_domains(images, None, 0.2))
    module.complete(images)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    state = torch.random.get_rng_state()
    curves = Curves(images)
    assert curves.measure(module) == curves.measure(module)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)
