"""Training of the ``gan`` family: its loss, and what the watch does."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from torch.nn import functional as F

from synth.artifacts import Store
from synth.data import ImageSet, load_images, open_source
from synth.errors import CollapseError, ConfigError, InterruptedRunError
from synth.models.program import ImageShape
from synth.training import gan_watch
from synth.training.diversity import Diversity
from synth.training.gan import GANModule
from synth.training.overfitting import adapted, overfitting
from synth.training.parts import split
from synth.training.recipe import resolve_recipe
from synth.training.team import Team


@pytest.mark.parametrize(("precision", "strength"), [("32", 1), ("32", -10), ("16", -10)])
def test_the_generators_gradient_is_that_of_its_own_loss(tiny, precision, strength):
    torch.manual_seed(0)
    module = GANModule(tiny.recipe("gan", penalty_share=0.5, precision=precision), ImageShape(1, 8, 8), 2)
    for weight in module.learnt():
        torch.nn.init.normal_(weight, std=0.3)
    module.discriminator.basis.data *= strength
    images, labels, position = torch.rand(6, 1, 8, 8) * 2 - 1, torch.arange(6) % 2, torch.arange(6)
    loss, figures = module.loss(images, labels, position)
    assert strength > 0 or figures["lead"] > 30  # where the discriminator wins as clearly as that
    loss.backward()
    judge, generator = module.discriminator, module.network
    found = [weight.grad.clone() for weight in generator.parameters()]
    fakes = generator(module._latents(position), labels)
    own = F.softplus(judge(images, labels) - judge(fakes, labels)).mean()
    for one, expected in zip(found, torch.autograd.grad(own, list(generator.parameters())), strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-3, atol=1e-6)


def image_set(images: torch.Tensor, labels: torch.Tensor) -> ImageSet:
    names = tuple(str(number) for number in range(int(labels.max()) + 1))
    return ImageSet(images, labels, tuple(str(number) for number in range(len(images))), names)


def test_diversity_tells_heaps_from_a_spread_within_each_class():
    torch.manual_seed(0)
    labels = torch.arange(64) % 2
    images = torch.randint(0, 256, (64, 1, 8, 8), dtype=torch.uint8)
    real = Diversity(image_set(images, labels))
    own = images[torch.argsort(labels, stable=True)].float() / 127.5 - 1.0
    assert real.of(own) == pytest.approx(1.0)
    assert real.of(torch.rand_like(own) * 2 - 1) > 0.9
    by_class = own.reshape(2, 32, 1, 8, 8)
    assert real.of(by_class[:, :1].expand(-1, 32, -1, -1, -1).reshape_as(own)) < 0.01
    two_heaps = by_class[:, torch.arange(32) % 2].reshape_as(own)
    assert real.of(two_heaps) < 0.2
    one_class_collapsed = torch.cat([by_class[0], by_class[1, :1].expand(32, -1, -1, -1)])
    assert real.of(one_class_collapsed) == pytest.approx(0.5, abs=0.01)


def test_overfitting_is_where_the_scores_of_validation_images_lie():
    known, fakes = torch.tensor([3.0, 5.0]), torch.tensor([-2.0, -4.0])
    assert overfitting(known, torch.tensor([4.0]), fakes) == 0.0
    assert overfitting(known, torch.tensor([0.5]), fakes) == pytest.approx(0.5)
    assert overfitting(known, torch.tensor([-9.0]), fakes) == 1.0
    assert overfitting(fakes, known, known) == 0.0
    assert adapted(0.5, 0.4, target=0.3, images=10_000, most=0.8) == pytest.approx(0.6)
    assert adapted(0.75, 0.4, target=0.3, images=10_000, most=0.8) == 0.8
    assert adapted(0.05, 0.2, target=0.3, images=10_000, most=0.8) == 0.0


@pytest.fixture
def collapsing(monkeypatch):
    """Makes the generator deaf to its latent at the given numbers of images seen."""
    monkeypatch.setattr(gan_watch, "HEALTHY", 0.01)  # what is diverse at all is kept
    loss = GANModule.loss

    def begin(*moments: int) -> None:
        def deaf(self, images, labels, position):
            if int(position[0]) in moments:
                with torch.no_grad():
                    self.network.enter.weight[:, : self.recipe.latent] = 0.0
            return loss(self, images, labels, position)

        monkeypatch.setattr(GANModule, "loss", deaf)

    return begin


@pytest.fixture
def recipe(tiny):
    def build(**changes):
        return tiny.recipe("gan", **{"watch_images": 16, "collapse": 0.009, "images_seen": 160, **changes})

    return build


def test_after_a_collapse_training_goes_back_and_on_with_more_augmentation(
    collapsing, recipe, tiny, listen, source, tmp_path, monkeypatch
):
    collapsing(64, 112)
    listener, rates = listen(), []
    before = GANModule.on_before_optimizer_step

    def look(module, optimiser):
        rates.append((optimiser.param_groups[0]["lr"], module.learning_rate()))
        before(module, optimiser)

    monkeypatch.setattr(GANModule, "on_before_optimizer_step", look)
    artifact = tiny.fit(source, family="gan", recipe=recipe(), store=Store(tmp_path), reporter=listener)
    notes = [note for note in listener.notes if "collapsed" in note]
    assert len(notes) == 2
    assert all(taken == wanted for taken, wanted in rates)
    assert "after 64 images" in notes[0]
    assert "half the learning rate, and " in notes[0]
    assert "% of the images augmented" in notes[0]
    assert (artifact.weights()["enter.weight"][:, :4].abs().amax(dim=1) > 0).all()  # it listens again


def test_all_processes_do_what_their_leader_finds(tiny, source, monkeypatch):
    parts = split(load_images(open_source(source)), 0.4)
    module = GANModule(tiny.recipe("gan", watch_images=16), ImageShape(1, 8, 8), 2)
    module.team = Team(1, 2)
    module._watch.prepare(parts.training, parts.validation)
    kept = []
    monkeypatch.setattr(Team, "leaders", lambda self, *values: [0.9])
    monkeypatch.setattr(gan_watch, "diversity_of", lambda *_: 0.0)
    monkeypatch.setattr(module._watch, "_keep", kept.append)
    module._watch.look(module, 16)
    assert float(module.decided.overfitting) == 0.9
    assert kept == [module]


@pytest.mark.parametrize("stopped_after", [64, 80])
def test_a_collapse_survives_resume(collapsing, recipe, tiny, listen, source, tmp_path, stopped_after):
    collapsing(64)
    options = {"family": "gan", "recipe": recipe(), "store": Store(tmp_path / "s"), "runs": tmp_path / "r"}
    whole = tiny.fit(source, name="whole", **options)
    stop = listen(stopped_after, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(InterruptedRunError):
        tiny.fit(source, name="parts", reporter=stop, **options)
    rest = listen()
    parts = tiny.fit(source, name="parts", resume=True, reporter=rest, **options)
    assert parts.manifest.digest == whole.manifest.digest
    assert any("collapsed after 64" in note for note in stop.notes + rest.notes)


def test_a_generator_that_collapses_again_and_again_ends_the_training(
    collapsing, recipe, tiny, source, tmp_path
):
    collapsing(*range(64, 160, 16))
    with pytest.raises(CollapseError, match=r"after 112 images.*3 times did not help.*learning_rate=0\.00"):
        tiny.fit(source, family="gan", recipe=recipe(), store=Store(tmp_path))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("group_width=48", r"group_width 48 must divide each width x expansion"),
        ("gamma=0", r"gamma and gamma_end must both be 0"),
        ("augment_share=0.9", r"augment_share must not be above augment_most"),
        ("widths=[]", r"widths must be 1 to 8 numbers"),
        ("patch=3", r"patch = 3"),
        ("collapse=0.6", r"collapse = 0\.6"),
    ],
)
def test_a_wrong_setting_is_named(setting, message):
    with pytest.raises(ConfigError, match=message):
        resolve_recipe("gan", overrides=[setting])


def test_a_size_too_small_for_the_network_is_refused_before_training(tiny, source):
    with pytest.raises(ConfigError, match=r"do(es)? not fit images of 8 x 8, grey.*at least 16 pixels"):
        tiny.fit(source, family="gan", recipe=tiny.recipe("gan", widths=[8, 8, 8, 8]))
