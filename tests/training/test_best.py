"""Which weights of a run are published."""

from __future__ import annotations

import pytest
import torch

from synth.artifacts import Store
from synth.data import ImageSet, load_images, open_source
from synth.evaluation.figures import Estimate, NotMeasured
from synth.models.program import ImageShape
from synth.training.best import Best
from synth.training.flow import FlowModule
from synth.training.parts import Parts, split
from synth.training.runs import new_run
from synth.training.vae import VAEModule
from synth.training.yardstick import Measured, Yardstick


class Script:
    """A yardstick that reads its figures from a list, and by how much each misses what must be."""

    name, how = "kernel_distance", "by the script"

    def __init__(
        self, *values: float | None, shortfalls: tuple[float, ...] = (), identity: str = "one"
    ) -> None:
        self.identity = identity
        self.values, self.shortfalls = list(values), list(shortfalls)

    def measure(self, module):
        value = self.values.pop(0)
        if value is None:
            return Measured(NotMeasured(reason="too few"))
        figure = Estimate(value=value, low=value - 0.1, high=value + 0.1)
        return Measured(figure, self.shortfalls.pop(0) if self.shortfalls else 0.0)


@pytest.fixture
def module(tiny):
    return VAEModule(tiny.recipe(), ImageShape(1, 8, 8), 0)


def fill(module, value: float) -> None:
    with torch.no_grad():
        next(module.average.parameters()).fill_(value)


def first(module) -> float:
    return float(next(module.average.parameters()).flatten()[0])


def test_earlier_weights_are_published_where_they_were_better_by_more_than_chance(module, tmp_path):
    run = new_run("toy", tmp_path)
    best = Best(run, Script(0.5, 0.2, 0.4, 0.6), 0)
    for seen in (10, 20, 30):
        fill(module, seen)
        best.look(module, seen)
    fill(module, 40)
    reached, metrics = best.choose(module, 40)
    assert (reached, first(module)) == (20, 20.0)
    assert metrics["kernel_distance"].value == 0.2
    assert "after 20 images, better than 0.6 at the end" in metrics["kernel_distance"].how


@pytest.mark.parametrize("end", [0.15, 0.25, 0.1])
def test_the_last_weights_are_published_where_they_are_as_good(module, tmp_path, end):
    best = Best(new_run("toy", tmp_path), Script(0.2, end), 0)
    best.look(module, 20)
    fill(module, 40)
    assert best.choose(module, 40)[0] == 40
    assert first(module) == 40.0


def test_the_best_weights_outlive_a_stop(module, tmp_path):
    run = new_run("toy", tmp_path)
    fill(module, 20)
    Best(run, Script(0.2), 0).look(module, 20)
    fill(module, 40)
    assert Best(run, Script(0.6), 30).choose(module, 40)[0] == 20
    assert first(module) == 20.0


def test_what_was_reached_after_the_saved_state_does_not_count(module, tmp_path):
    run = new_run("toy", tmp_path)
    Best(run, Script(0.2), 0).look(module, 20)
    assert Best(run, Script(0.6), 10).choose(module, 40)[0] == 40


def test_what_another_yardstick_has_found_does_not_count(module, tmp_path):
    run = new_run("toy", tmp_path)
    Best(run, Script(0.2), 0).look(module, 20)
    assert Best(run, Script(0.6, identity="other"), 30).choose(module, 40)[0] == 40


@pytest.mark.parametrize(
    ("values", "shortfalls", "reached"),
    [
        ((0.5, 0.1, 0.05), (0.0, 0.2, 0.2), 10),  # the only ones that miss nothing
        ((0.5, 0.1, 0.55), (0.0, 0.2, 0.0), 30),  # as good as those within chance, and the last
        ((0.5, 0.1, 0.05), (0.1, 0.2, 0.3), 10),  # those that miss least
    ],
)
def test_what_must_be_goes_before_the_figure(module, tmp_path, values, shortfalls, reached):
    best = Best(new_run("toy", tmp_path), Script(*values, shortfalls=shortfalls), 0)
    for seen in (10, 20):
        fill(module, seen)
        best.look(module, seen)
    fill(module, 30)
    assert best.choose(module, 30)[0] == reached == first(module)


def test_with_too_few_images_the_last_weights_are_published_without_a_figure(module, tmp_path):
    best = Best(new_run("toy", tmp_path), Script(None, None), 0)
    assert best.look(module, 20) == {}
    assert best.choose(module, 40) == (40, {})


@pytest.mark.parametrize("classes", [0, 2])
def test_the_yardstick_tells_real_images_from_noise(tiny, tmp_path, monkeypatch, classes):
    source = tiny.source(tmp_path / "toys.npz", count=600, classes=classes)
    other = tiny.source(tmp_path / "other.npz", count=600, classes=classes, seed=1)
    parts = split(load_images(open_source(source)), 0.5)
    yardstick = Yardstick(parts, tiny.recipe(images_seen=100_000), torch.device("cpu"))
    module = VAEModule(tiny.recipe(), ImageShape(1, 8, 8), classes)

    again, longer = (
        Yardstick(parts, tiny.recipe(images_seen=seen), torch.device("cpu")).identity
        for seen in (100_000, 150_000)
    )
    assert yardstick.identity == again
    assert (yardstick.identity == longer) == (classes == 0)  # without classes nothing is trained

    def figure(images: torch.Tensor) -> Estimate:
        def samples(module, index, labels, parameters):
            return images[index]

        monkeypatch.setattr("synth.training.yardstick.samples", samples)
        return yardstick.measure(module).figure

    if classes:
        assert yardstick._labels.bincount().tolist() == parts.validation.labels.bincount().tolist()
    real = figure(load_images(open_source(other)).images)
    noise = figure(torch.randint(0, 256, parts.validation.images.shape, dtype=torch.uint8))
    assert real.value < noise.low
    assert real.high < noise.low


@pytest.mark.parametrize(
    ("length", "count"),
    [
        ({"minutes": 3.0}, 300),
        ({"minutes": 0.6}, 200),
        ({"images_seen": 25_000}, 300),
        ({"images_seen": 5_000}, 200),
        ({"images_seen": 64}, 100),
    ],
)
def test_short_runs_draw_fewer_samples_to_be_measured(tiny, length, count):
    pixels = torch.randint(0, 256, (600, 1, 8, 8), dtype=torch.uint8)
    real = ImageSet(pixels, None, tuple(map(str, range(600))), None, (), "made")
    parts = Parts(real.subset(range(300)), real.subset(range(300, 600)), "validation images")
    recipe = tiny.recipe().model_copy(update={"minutes": None, "images_seen": None, **length})
    how = Yardstick(parts, recipe, torch.device("cpu")).how
    assert how.startswith(f"{count} samples and 300 validation images")


@pytest.mark.parametrize("since", [-1, 64])
def test_a_student_that_is_clearly_worse_is_measured_and_told_of(tiny, tmp_path, monkeypatch, since):
    parts = split(load_images(open_source(tiny.source(tmp_path / "toys.npz", count=200))), 0.5)
    module = FlowModule(tiny.recipe("flow"), ImageShape(1, 8, 8), 2)
    module.student_since.fill_(since)
    monkeypatch.setattr(
        "synth.training.yardstick.samples",
        lambda module, index, labels, parameters: parts.training.images[index] // (10 if parameters else 1),
    )
    best = Best(new_run("toy", tmp_path), Yardstick(parts, tiny.recipe("flow"), torch.device("cpu")), 0)
    _, metrics = best.choose(module, 40)
    if since < 0:
        assert (list(metrics), module.notes) == (["kernel_distance"], [])
        return
    assert metrics["student_distance"].how.startswith("of samples by solver=student; ")
    (note,) = module.notes
    assert note.startswith("Samples by solver=student are clearly worse than those by default: student_dis")
    assert "student_share=1" in note


def test_the_figure_is_in_the_manifest_and_on_the_curve(tiny, tmp_path):
    source = tiny.source(tmp_path / "toys.npz", count=300)
    artifact = tiny.fit(source, store=Store(tmp_path / "store"), runs=tmp_path / "runs")
    metric = artifact.manifest.metrics["kernel_distance"]
    assert "validation images, in the features of a small classifier" in metric.how
    assert "validation/kernel_distance" in (tmp_path / "runs/toy/0001/metrics.csv").read_text()
