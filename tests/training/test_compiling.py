"""Compiled training steps do what eager ones do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from synth.models.program import ImageShape
from synth.training import compiling
from synth.training.compiling import CompiledRecipe, is_compiled
from synth.training.flow import FlowModule
from synth.training.flow_recipe import FlowRecipe
from synth.training.gan import GANModule
from synth.training.gan_recipe import GANRecipe
from synth.training.module import FamilyModule
from synth.training.recipe import make_recipe
from synth.training.vae import VAERecipe

_IMAGE = ImageShape(height=16, width=16, channels=1)


def _gan() -> GANModule:
    settings = {"widths": [8, 16], "group_width": 8, "latent": 4, "augment": "fixed", "augment_share": 0.4}
    return GANModule(make_recipe(GANRecipe, settings), _IMAGE, 3)


def _flow(progress: float) -> FlowModule:
    module = FlowModule(make_recipe(FlowRecipe, {"widths": [8, 16], "student_steps": 2}), _IMAGE, 3)
    module.progress = progress
    return module


def _gradients(module: FamilyModule) -> tuple[float, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(8, 1, 16, 16, generator=generator) * 2 - 1
    labels = torch.arange(8) % 3
    loss, _ = module.loss(images, labels, torch.arange(8))
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [weight.grad for weight in module.learnt() if weight.grad is not None]
    return float(loss.detach()), gradients


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*grad attribute of a Tensor that is not a leaf", "ignore:.*lru_cache")
@pytest.mark.parametrize(
    "build", [_gan, lambda: _flow(0.1), lambda: _flow(0.9)], ids=["gan", "velocity", "student"]
)
def test_a_compiled_step_is_that_of_eager_code(build: Any) -> None:
    torch.manual_seed(0)
    module = build()
    loss, gradients = _gradients(module)
    assert gradients
    module.zero_grad()
    module.compile_networks()
    names = set(module.state_dict())
    found, compiled = _gradients(module)
    assert found == pytest.approx(loss, rel=1e-4)
    assert len(compiled) == len(gradients)
    for one, other in zip(compiled, gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    assert set(module.state_dict()) == names


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["c++", "/nonexistent/c++"])
def test_training_compiles_or_says_how_to_do_without(tiny: Any, tmp_path: Path, compiler: str) -> None:
    words = [
        "train",
        "gan",
        "--data",
        str(tiny.source(tmp_path / "toys.npz")),
        "--name",
        "toy",
        *tiny.flags("gan"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "synth", *words, "--set", "compile=true"],
        env={**os.environ, "CXX": compiler, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    if compiler == "c++":
        assert done.returncode == 0, done.stderr
        assert "Published toy@1" in done.stderr
    else:
        assert done.returncode == 1
        assert "cannot be compiled here" in done.stderr
        assert done.stderr.rstrip().endswith("--set compile=false.")


@pytest.mark.parametrize(
    ("settings", "device", "devices", "expected"),
    [
        ({"minutes": 10}, "cpu", 1, False),
        ({"minutes": 10, "compile": True}, "cpu", 1, True),
        ({"minutes": 10, "compile": False}, "cuda", 1, False),
        ({"minutes": 1}, "cuda", 1, False),
        ({"minutes": 10}, "cuda", 2, False),
    ],
)
def test_steps_are_compiled_where_it_was_asked_for_or_is_worth_it(
    settings: dict[str, Any], device: str, devices: int, expected: bool
) -> None:
    assert is_compiled(make_recipe(FlowRecipe, settings), torch.device(device), devices) is expected


def test_a_long_training_on_one_gpu_is_compiled_where_there_is_a_compiler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipes = [make_recipe(GANRecipe, long) for long in ({"minutes": 10}, {"images_seen": 5_000_000})]
    for can in (True, False):
        monkeypatch.setattr(compiling, "_can_compile", lambda can=can: can)
        assert [is_compiled(recipe, torch.device("cuda"), 1) for recipe in recipes] == [can, can]


def test_families_whose_steps_cannot_be_compiled_have_no_such_setting() -> None:
    recipe = make_recipe(VAERecipe, {"minutes": 10})
    assert not isinstance(recipe, CompiledRecipe)
    assert not is_compiled(recipe, torch.device("cuda"), 1)
