"""Attacks: what they reach on a linear model in closed form, and what they never do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from synth.augment.adversarial import (
    ThreatModel,
    attack_keys,
    fgsm,
    pgd,
    ray_search,
    rays,
)
from synth.augment.adversarial.gradient import losses
from synth.errors import ConfigError, SourceError, UsageError
from synth.models.classifier import Classifier
from synth.models.program import ImageShape

SHAPE = (2, 4, 5)
COUNT = 40


class Linear(nn.Module):
    """Two classes by one plane: logit 1 less logit 0 is w . x + b of the pixels."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randn(COUNT, generator=draw))

    def forward(self, inputs):
        score = (inputs.flatten(1) * 0.5 + 0.5 - 0.5) @ self.weight
        return torch.stack([-score, score], dim=1)

    def margins(self, pixels, labels):
        """By how much each is right."""
        return (pixels.flatten(1) - 0.5) @ self.weight * (2 * labels - 1)

    def uphill(self, labels):
        """The gradient of the loss, but for its length."""
        return -(self.weight * (2.0 * labels[:, None] - 1)).reshape(-1, *SHAPE).detach()


def pictures(low=0, high=256, count=6):
    draw = torch.Generator().manual_seed(2)
    return torch.randint(low, high, (count, *SHAPE), dtype=torch.uint8, generator=draw)


LABELS = torch.tensor([0, 1, 1, 0, 1, 0])
KEYS = attack_keys(7, torch.arange(6))


@pytest.fixture
def linear():
    return Linear()


def convolutions(classes=3):
    torch.manual_seed(0)
    network = Classifier({"width": 4, "most": 8, "blocks": 1, "features": 8}, ImageShape(2, 8, 8), classes)
    for module in network.modules():  # statistics that are not those of a new network
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network


@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_linf_attacks_reach_the_corner_of_the_ball_on_a_linear_model(linear, attack):
    threat = ThreatModel(0.1)
    pixels = threat.pixels(pictures())
    expected = (pixels + 0.1 * linear.uphill(LABELS).sign()).clamp(0, 1)
    torch.testing.assert_close(attack(linear, pixels, LABELS, threat), expected)


@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_l2_attacks_reach_the_point_along_the_gradient_on_a_linear_model(linear, attack):
    threat = ThreatModel(0.5, norm="l2")
    pixels = threat.pixels(pictures(60, 190))  # far enough from the bounds
    uphill = linear.uphill(LABELS)
    expected = pixels + 0.5 * uphill / uphill.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
    torch.testing.assert_close(attack(linear, pixels, LABELS, threat), expected)


@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_pgd_from_random_starts_reaches_the_corner_too(linear, loss):
    threat = ThreatModel(0.1)
    pixels = threat.pixels(pictures())
    found = pgd(linear, pixels, LABELS, threat, restarts=3, keys=KEYS, loss=loss)
    torch.testing.assert_close(found, (pixels + 0.1 * linear.uphill(LABELS).sign()).clamp(0, 1))


def test_rays_find_the_least_amplitude_of_a_linear_model(linear):
    images = pictures(100, 156)
    threat = ThreatModel(1.0)
    margins = linear.margins(threat.pixels(images), LABELS)
    found = ray_search(linear, images, LABELS, threat, queries=1500, keys=KEYS)
    expected = margins.clamp(min=0) / linear.weight.detach().abs().sum()
    assert (margins > 0).sum() >= 2
    torch.testing.assert_close(found.amplitudes, expected, rtol=0, atol=3e-4)
    # The nearest image of whole levels fools, and the one before it does not.
    for eps, wrong in ((1.0, True), (((255 * expected).ceil() - 1).clamp(min=0) / 255, False)):
        made = rays(linear, images, LABELS, ThreatModel(eps), queries=1500, keys=KEYS)
        fooled = linear.margins(threat.pixels(made), LABELS) < 0
        assert fooled[margins > 0].eq(wrong).all()


def test_rays_that_find_nothing_say_so_and_stay_in_the_ball():
    always = nn.Sequential(nn.Flatten(), nn.Linear(COUNT, 2))
    nn.init.zeros_(always[1].weight)
    nn.init.constant_(always[1].bias[:1], 1.0)
    images, labels = pictures(), torch.zeros(6, dtype=torch.int64)
    assert ray_search(always, images, labels, ThreatModel(0.1), queries=9).amplitudes.isinf().all()
    made = rays(always, images, labels, ThreatModel(0.1), queries=9)
    assert (made.int() - images.int()).abs().max() == 25


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_starts_fill_the_ball_and_follow_from_keys_alone(norm):
    threat = ThreatModel(0.2, norm=norm)
    origin = torch.full((200, *SHAPE), 0.5)
    keys = attack_keys(3, torch.arange(200))
    start = threat.start(origin, keys)
    assert torch.equal(start[17:20], threat.start(origin[17:20], keys[17:20]))
    assert not torch.equal(start, threat.start(origin, keys, 1))
    change = (start - origin).flatten(1)
    sizes = (change.abs().amax(1) if norm == "linf" else change.norm(dim=1)) / 0.2
    assert sizes.max() <= 1 + 1e-6
    # Of 40 dimensions the median lies at the 40th root of a half.
    assert abs(sizes.median() - 0.5 ** (1 / COUNT)) < 0.01


def attacks():
    return {
        "fgsm": lambda net, x, y, keys, threat: threat.images(
            fgsm(net, threat.pixels(x), y, threat, keys=keys), x
        ),
        "pgd": lambda net, x, y, keys, threat: threat.images(
            pgd(net, threat.pixels(x), y, threat, steps=4, restarts=2, keys=keys), x
        ),
        "rays": lambda net, x, y, keys, threat: rays(net, x, y, threat, queries=40, keys=keys),
    }


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", ["fgsm", "pgd", "rays"])
def test_each_sample_is_attacked_by_itself_with_a_radius_of_its_own(name, norm):
    network, attack = convolutions().eval(), attacks()[name]
    draw = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (6, 2, 8, 8), dtype=torch.uint8, generator=draw)
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    eps = torch.tensor([0.0, 0.05, 0.1, 0.2, 0.3, 0.4]) * (1 if norm == "linf" else 6)
    whole = attack(network, images, labels, KEYS, ThreatModel(eps, norm=norm))
    for row in range(6):
        one = slice(row, row + 1)
        alone = attack(network, images[one], labels[one], KEYS[one], ThreatModel(float(eps[row]), norm=norm))
        # Sums in batches of other sizes differ in the last place, which may turn the sign of nearly nothing.
        assert (alone != whole[one]).float().mean() < 0.02
    assert torch.equal(whole[0], images[0])
    shares = nn.functional.one_hot(labels, 3).float()
    assert torch.equal(whole, attack(network, images, shares, KEYS, ThreatModel(eps, norm=norm)))


@pytest.mark.parametrize("name", ["fgsm", "pgd", "rays"])
def test_the_network_is_evaluated_and_left_as_it_was_after_errors_too(name):
    network = convolutions().train()
    network.stages[0].eval()
    network.leave.bias.requires_grad_(False)
    network.dense.weight.grad = torch.ones_like(network.dense.weight)
    images = torch.randint(0, 256, (6, 2, 8, 8), dtype=torch.uint8)
    seen = []
    hook = network.register_forward_hook(lambda module, *_: seen.append(module.training))

    def state():
        return (
            [module.training for module in network.modules()],
            [(weight.requires_grad, weight.grad is None) for weight in network.parameters()],
            [value.clone() for value in network.state_dict().values()],
        )

    before = state()
    with torch.inference_mode():  # as validation loops and servers use it
        attacks()[name](network, images, LABELS, KEYS, ThreatModel(0.1))
    assert not any(seen)
    hook.remove()
    network.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        attacks()[name](network, images, LABELS, KEYS, ThreatModel(0.1))
    after = state()
    assert before[:2] == after[:2]
    assert all(map(torch.equal, before[2], after[2]))


@pytest.mark.parametrize("name", ["fgsm", "pgd", "rays"])
def test_of_no_images_none_are_attacked(name):
    images = torch.zeros((0, 2, 8, 8), dtype=torch.uint8)
    none = torch.zeros(0, dtype=torch.int64)
    assert attacks()[name](convolutions(), images, none, none, ThreatModel(0.1)).shape == images.shape


def test_more_of_an_attack_raises_the_loss_further():
    network = convolutions().eval()
    draw = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (60, 2, 8, 8), dtype=torch.uint8, generator=draw)
    threat = ThreatModel(0.1)
    pixels, keys = threat.pixels(images), attack_keys(0, torch.arange(60))
    labels = torch.arange(60) % 3

    def reached(place):
        with torch.no_grad():
            return losses(network(threat.inputs(place)), labels, "cross_entropy")

    nothing, noise = reached(pixels), reached(threat.start(pixels, keys))
    once = reached(fgsm(network, pixels, labels, threat))
    many = reached(pgd(network, pixels, labels, threat, steps=20, keys=keys))
    assert nothing.mean() + 5 * (noise - nothing).mean().abs() < once.mean() < many.mean()
    wrong = pgd(network, pixels, labels, threat, keys=keys, restarts=3)
    with torch.no_grad():
        fooled = network(threat.inputs(wrong)).argmax(1) != labels
        first = network(threat.inputs(pgd(network, pixels, labels, threat, keys=keys))).argmax(1) != labels
    assert (fooled | ~first).all()
    assert (reached(wrong) >= reached(pgd(network, pixels, labels, threat, keys=keys)) - 1e-5)[
        fooled == first
    ].all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"eps": -0.1}, "from 0"),
        ({"eps": float("nan")}, "from 0"),
        ({"eps": 0.1, "norm": "l1"}, "no norm 'l1'"),
        ({"eps": 0.1, "bounds": (0.5, 0.5)}, "bounds"),
        ({"eps": 0.1, "bounds": (0.0, 255.0)}, "bounds"),
        ({"eps": 0.1, "mean": (0.5, 0.5)}, "each channel"),
        ({"eps": 0.1, "std": (0.0,)}, "positive"),
    ],
)
def test_threat_models_that_are_none_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        ThreatModel(**values)


def test_attacks_that_cannot_be_are_refused(linear):
    threat = ThreatModel(0.1, bounds=(0.2, 0.8))
    with pytest.raises(SourceError, match=r"values of 0 to 255.*bounds are 51 to 204"):
        threat.pixels(torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 2, 1, 1))
    pixels = threat.pixels(pictures(51, 205))
    for settings_, message in (
        ({"steps": 0}, "1 step"),
        ({"step_size": 0.0}, "step size"),
        ({"restarts": 2}, "keys"),
        ({"loss": "hinge"}, "no loss 'hinge'"),
    ):
        with pytest.raises(ConfigError, match=message):
            pgd(linear, pixels, LABELS, threat, **settings_)
    for labels, message in (
        (LABELS[:2], "labels for each of the 6"),
        (LABELS - 100, "go from -100 to -99"),
        (LABELS + 1, "from 0 to 1, and these go from 1 to 2"),
    ):
        with pytest.raises(UsageError, match=message):
            fgsm(linear, pixels, labels, threat)
    with pytest.raises(UsageError, match="go from -100"):
        rays(linear, pictures(51, 205), LABELS - 100, threat)
    with pytest.raises(ConfigError, match="1 query"):
        rays(linear, pictures(51, 205), LABELS, threat, queries=0)
