from __future__ import annotations

import numpy as np
import pytest
import torch

from synth.errors import NonFiniteError
from synth.models.vae import Mixture
from synth.randomness import normals, uniforms
from synth.training.density import MixtureFit, fit_mixture


def sample(fitted: MixtureFit, count: int, label: int = 0) -> np.ndarray:
    mixture = Mixture(*fitted.means.shape)
    for name in ("weights", "means", "factors"):
        getattr(mixture, name).copy_(torch.from_numpy(getattr(fitted, name)))
    index = torch.arange(count)
    normal = normals(0, index, 1, fitted.means.shape[2])
    return mixture(normal, uniforms(1, index, 2, 1), torch.full((count,), label), 1.0).numpy()


def clusters(count: int, seed: int = 0) -> np.ndarray:
    """Two stretched clouds in three dimensions, of one and three quarters of the points."""
    random = np.random.default_rng(seed)
    points = random.normal(size=(count, 3)) @ np.array([[1.0, 0.8, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.1]])
    return points + np.where(np.arange(count)[:, None] % 4, 6.0, -6.0)


def test_samples_have_the_moments_and_the_shape_of_the_data():
    data = clusters(4000)
    made = sample(fit_mixture(data, None, classes=1, components=2, seed=0), 100_000)
    np.testing.assert_allclose(made.mean(axis=0), data.mean(axis=0), atol=0.3)
    np.testing.assert_allclose(np.cov(made.T), np.cov(data.T), rtol=0.05, atol=0.05)
    assert np.mean(made[:, 2] > 0) == pytest.approx(0.75, abs=0.02)
    assert np.mean(np.abs(made[:, 2]) < 4) == 0  # nothing between the clouds


def test_each_class_has_its_own_density():
    labels = np.arange(400) % 2
    data = clusters(400) + 100.0 * labels[:, None]
    fitted = fit_mixture(data, labels, classes=2, components=4, seed=0)
    for label in (0, 1):
        made = sample(fitted, 200, label).mean()
        assert made == pytest.approx(data[labels == label].mean(), abs=1.5)


@pytest.mark.parametrize("count", [1, 2, 5, 23])
def test_few_samples_get_one_component_around_them(count):
    data = clusters(count)
    fitted = fit_mixture(data, None, classes=1, components=8, seed=0)
    assert fitted.weights[0].tolist() == [1.0] + [0.0] * 7
    np.testing.assert_allclose(fitted.means[0, 0], data.mean(axis=0), rtol=1e-5)
    assert np.isfinite(sample(fitted, 50)).all()


def test_fewer_samples_than_dimensions_are_enough():
    data = np.random.default_rng(0).normal(size=(5, 64))
    made = sample(fit_mixture(data, None, classes=1, components=2, seed=0), 500)
    np.testing.assert_allclose(made.std(), data.std(), rtol=0.2)


@pytest.mark.parametrize("different", [1, 2])
def test_equal_samples_give_a_narrow_density(different):
    data = np.tile(np.eye(3)[:different], (200, 1))
    fitted = fit_mixture(data, None, classes=1, components=4, seed=0)
    assert np.count_nonzero(fitted.weights) == different
    made = sample(fitted, 300)
    near = np.min([np.abs(made - point).max(axis=1) for point in np.eye(3)[:different]], axis=0)
    assert near.max() < 0.06


def test_a_class_without_samples_gets_what_all_classes_share():
    data, labels = clusters(100), np.zeros(100, dtype=np.int64)
    fitted = fit_mixture(data, labels, classes=2, components=1, seed=0)
    np.testing.assert_array_equal(fitted.means[0], fitted.means[1])


def test_the_fit_is_a_function_of_data_and_seed():
    first, second = (fit_mixture(clusters(500), None, classes=1, components=3, seed=2**64 - 1) for _ in "ab")
    np.testing.assert_array_equal(first.factors, second.factors)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_latents_that_are_not_finite_are_an_error_with_a_remedy(value):
    with pytest.raises(NonFiniteError, match=r"latents became NaN or infinite: .* lower --set learning_rate"):
        fit_mixture(np.array([[0.0], [value]]), None, classes=1, components=1, seed=0)
