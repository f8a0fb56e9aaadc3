from __future__ import annotations

import pytest
import torch

from synth.models.program import ImageShape
from synth.models.vae import VAE, Mixture, VAEProgram
from synth.randomness import normals, uniforms

CONFIG = {"widths": [8, 8], "blocks": 1, "latent": 4, "components": 2}
PARAMETERS = {"spread": 1.0, "strength": 1.0}


def network(channels=1, height=8, width=8, classes=0, **changes) -> VAE:
    built = VAE({**CONFIG, **changes}, ImageShape(channels, height, width), classes)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in built.parameters():  # blocks begin as the identity, which would hide their faults
            weight.add_(torch.randn(weight.shape, generator=random), alpha=0.1)
    return built.requires_grad_(False)


def noise(count: int) -> dict[str, torch.Tensor]:
    index = torch.arange(count)
    return {"latent": normals(0, index, 1, 4), "component": uniforms(0, index, 2, 1)}


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 13), (4, 7), (5, 1024)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_from_two_to_the_number_of_widths_goes_in_and_comes_out(channels, height, width):
    built = network(channels, height, width)
    images = torch.rand(2, channels, height, width) * 2 - 1
    output, mean, log_variance = built(images, None, torch.zeros(2, 4))
    assert output.shape == images.shape
    assert mean.shape == log_variance.shape == (2, 4)
    assert output.isfinite().all()


@pytest.mark.parametrize(("height", "width"), [(8, 3), (3, 8)])
def test_a_smaller_size_is_refused_with_what_would_fit(height, width):
    with pytest.raises(ValueError, match=r"2 widths halve .* at most 1 widths .* or --size 4 or larger"):
        network(1, height, width)


def test_one_image_passes_a_map_of_one_pixel():
    built = network(1, 8, 8, widths=[8, 8, 8])
    assert built(torch.zeros(1, 1, 8, 8), None, torch.zeros(1, 4))[0].isfinite().all()
    assert built.encoder(torch.zeros(1, 1, 8, 8), None)[0].abs().sum() > 0


def test_a_row_depends_on_its_own_row_of_noise_and_labels_alone():
    program = VAEProgram(network(3, 9, 13, classes=3))
    labels = torch.tensor([0, 1, 2, 1, 0])

    def run(rows) -> torch.Tensor:
        drawn = {name: values[rows] for name, values in noise(5).items()}
        state = program.begin(drawn, labels[rows], PARAMETERS)
        for i in range(program.steps(PARAMETERS)):
            state = program.step(i, state, labels[rows], PARAMETERS)
        return program.image(state)

    whole = run(slice(None))
    assert whole.min() >= -1
    assert whole.max() <= 1
    for row in range(5):
        torch.testing.assert_close(run([row])[0], whole[row], atol=1e-5, rtol=0)


def test_the_class_changes_the_image():
    program = VAEProgram(network(classes=2))
    z = {"z": torch.zeros(2, 4)}
    images = program.image(program.step(0, z, torch.tensor([0, 1]), PARAMETERS))
    assert not torch.allclose(images[0], images[1])


def test_an_untrained_network_treats_all_classes_alike():
    built = VAE(CONFIG, ImageShape(1, 8, 8), 2)
    images = built.decoder(torch.zeros(2, 4), torch.tensor([0, 1]))
    torch.testing.assert_close(images[0], images[1])


def test_variations_leave_the_image_as_far_as_strength_says():
    built = network()
    program = VAEProgram(built)
    images = torch.rand(3, 1, 8, 8) * 2 - 1
    mean, _ = built.encoder(images, None)
    still = program.begin_from(images, noise(3), None, {"strength": 0.0})["z"]
    near, far = (program.begin_from(images, noise(3), None, {"strength": s})["z"] for s in (1.0, 2.0))
    assert torch.equal(still, mean)
    torch.testing.assert_close(far - mean, 2 * (near - mean))


class TestMixture:
    def mixture(self, weights) -> Mixture:
        """Components at 0, 10, 20 ... in one dimension, of deviation 0.1."""
        rows = torch.tensor(weights)
        built = Mixture(*rows.shape, 1)
        built.weights.copy_(rows)
        built.means.copy_(10.0 * torch.arange(rows.shape[1])[None, :, None])
        built.factors.fill_(0.1)
        return built

    def draw(self, mixture: Mixture, count: int, labels=None, spread: float = 1.0) -> torch.Tensor:
        index = torch.arange(count)
        return mixture(normals(0, index, 1, 1), uniforms(0, index, 2, 1), labels, spread)[:, 0]

    def test_components_come_as_often_as_their_weight(self):
        values = self.draw(self.mixture([[0.5, 0.3, 0.2]]), 20_000)
        shares = torch.bincount((values / 10).round().long()) / len(values)
        torch.testing.assert_close(shares, torch.tensor([0.5, 0.3, 0.2]), atol=0.01, rtol=0)
        assert (values - 10 * (values / 10).round()).std() == pytest.approx(0.1, rel=0.02)

    def test_a_component_of_no_weight_is_never_drawn(self):
        # Sums of float32 weights fall short of 1, and the largest uniform is the float before 1.
        tenth = [0.0, *[0.1] * 9, 0.0999999, 0.0, 0.0]
        mixture = self.mixture([tenth])
        edge = torch.tensor([[0.0], [1 - 2.0**-24]])
        values = mixture(torch.zeros(2, 1), edge, None, 1.0)[:, 0]
        assert values.tolist() == [10.0, 100.0]

    def test_each_class_has_its_own_row(self):
        mixture = self.mixture([[1.0, 0.0], [0.0, 1.0]])
        values = self.draw(mixture, 4, torch.tensor([0, 1, 1, 0]))
        assert (values / 10).round().tolist() == [0, 1, 1, 0]

    def test_spread_scales_the_distance_from_the_centre(self):
        mixture = self.mixture([[1.0]])
        torch.testing.assert_close(self.draw(mixture, 50, spread=2.0), 2 * self.draw(mixture, 50))
        assert not self.draw(mixture, 50, spread=0.0).any()

    def test_until_it_is_fitted_it_is_the_unit_prior(self):
        index = torch.arange(2000)
        normal = normals(0, index, 1, 3)
        drawn = Mixture(1, 4, 3)(normal, uniforms(0, index, 2, 1), None, 1.0)
        torch.testing.assert_close(drawn, normal)
