"""Classes that stand one after another, as in folders: a run finds in them what it finds in mixed ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synth.data import ImageSet
from synth.models.program import ImageShape
from synth.training.curves import Curves
from synth.training.gan import GANModule
from synth.training.parts import Domains, Parts
from synth.training.preparing import build_module
from synth.training.translation_yardstick import TranslationYardstick
from synth.training.yardstick import Yardstick

CLASSES = 4


def images(count: int, *, mix: bool, seed: int = 0) -> ImageSet:
    """Noise that is brighter with the class."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) * CLASSES // count
    pixels = random.integers(0, 60, (count, 1, 8, 8)) + 60 * labels[:, None, None, None]
    order = random.permutation(count) if mix else np.arange(count)
    return ImageSet(
        torch.from_numpy(pixels[order].astype(np.uint8)),
        torch.from_numpy(labels[order]),
        tuple(f"{seed}-{number}" for number in order),
        tuple(str(number) for number in range(CLASSES)),
    )


def domains(mix: bool, target: bool) -> Domains:
    parts = Parts(images(2_400, mix=mix), images(1_600, mix=mix, seed=1), "validation images")
    return Domains(parts, parts._replace(validation=images(1_600, mix=mix, seed=2)) if target else None)


@pytest.mark.parametrize("family", ["gan", "encoder", "classifier"])
def test_curves_and_statistics_are_those_of_mixed_images(tiny, family):
    found = []
    for mix in (True, False):
        given = domains(mix, target=False)
        module = build_module(family, tiny.recipe(family), given)
        module.complete(given.source.training, limit=1_200)
        figures = Curves(given.source.validation).measure(module)
        norms = {
            name: float(values.mean())
            for name, values in module.average.named_buffers()
            if name.endswith(("running_mean", "running_var"))
        }
        found.append({**figures, **norms})
    assert found[1] == pytest.approx(found[0], rel=0.1, abs=0.05)


@pytest.mark.parametrize("family", ["flow", "cut"])
def test_weights_are_chosen_by_what_mixed_images_would_choose(tiny, monkeypatch, family):
    for module in ("yardstick", "translation_yardstick"):
        monkeypatch.setattr(f"synth.training.{module}.MOST_IMAGES", 200)
    figures = []
    for mix in (True, False):
        given = domains(mix, target=family == "cut")
        recipe = tiny.recipe(family)
        module = build_module(family, recipe, given)
        yardstick = (
            TranslationYardstick(given, recipe, torch.device("cpu"), module)
            if family == "cut"
            else Yardstick(given.source, recipe, torch.device("cpu"))
        )
        figures.append(yardstick.measure(module).figure)
    assert figures[0].low < figures[1].value < figures[0].high


@pytest.mark.parametrize("mix", [True, False])
def test_a_discriminator_that_knows_nothing_by_heart_is_not_said_to(tiny, monkeypatch, mix):
    """Its scores under one label and under another have nothing to do with each other."""
    recipe = tiny.recipe("gan", watch_images=16, batch_size=16)
    module = GANModule(recipe, ImageShape(1, 8, 8), CLASSES)
    module._watch.prepare(images(2_400, mix=mix), images(200, mix=mix, seed=1))
    monkeypatch.setattr("synth.training.gan_watch.diversity_of", lambda *_: 0.3)
    monkeypatch.setattr(
        module.discriminator,
        "forward",
        lambda x, labels: -8.0 * labels - (x.std(dim=(1, 2, 3)) > 0.3).float(),
    )
    monkeypatch.setattr(module.network, "forward", lambda z, labels: torch.randn(len(z), 1, 8, 8))
    module._watch.look(module, 16)
    assert float(module.decided.overfitting) == pytest.approx(0.0, abs=1e-3)
