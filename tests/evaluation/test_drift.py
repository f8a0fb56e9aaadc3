"""Drift of histograms and of images from a reference."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from synth.artifacts import Store
from synth.errors import ArtifactError, SourceError, UsageError
from synth.evaluation.drift import LEAST, jensen_shannon, kolmogorov_smirnov, stability_index
from synth.evaluation.figures import Estimate, NotMeasured
from synth.evaluation.reference import CLASSES, Histogram, Reference, compare
from synth.evaluation.statistics import image_statistics

MEASURES = (stability_index, kolmogorov_smirnov, jensen_shannon)


def images(count=400, *, channels=1, size=(8, 8), low=0, high=256, seed=0):
    random = np.random.default_rng(seed)
    # Of unlike brightness, as photographs are.
    base = random.integers(low, high, (count, 1, 1, 1))
    noise = random.integers(-30, 31, (count, channels, *size))
    return torch.from_numpy(np.clip(base + noise, 0, 255).astype(np.uint8))


def test_closed_cases():
    p, q = np.array([300, 100]), np.array([100, 300])
    psi = stability_index(p, q).value
    share = (300.5 / 401, 100.5 / 401)
    assert psi == pytest.approx(2 * (share[0] - share[1]) * math.log(share[0] / share[1]))
    assert kolmogorov_smirnov(p, q).value == pytest.approx(0.5)
    entropy = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert jensen_shannon(p, q).value == pytest.approx(1.0 - entropy)
    apart = np.array([400, 0]), np.array([0, 400])
    assert kolmogorov_smirnov(*apart).value == jensen_shannon(*apart).value == 1.0
    assert math.isfinite(stability_index(*apart).value)


@pytest.mark.parametrize("measure", MEASURES)
def test_equal_sets_are_at_zero_and_the_value_lies_in_its_interval(measure):
    counts = np.array([100, 200, 50, 50])
    figure = measure(counts, counts * 3)
    assert isinstance(figure, Estimate)
    assert figure.value == pytest.approx(0.0, abs=1e-3)
    assert figure.low <= figure.value <= figure.high
    assert figure == measure(counts, counts * 3)


@pytest.mark.parametrize("measure", MEASURES)
def test_the_floor_is_about_what_chance_gives(measure):
    shares = np.full(10, 0.1)
    random = np.random.default_rng(0)
    found = [measure(random.multinomial(500, shares), random.multinomial(500, shares)) for _ in range(60)]
    assert np.mean([figure.value for figure in found]) == pytest.approx(found[0].floor, rel=0.35)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("count", [0, 1, 12, LEAST - 1])
def test_few_samples_give_a_reason_and_no_number(measure, count):
    figure = measure(np.array([500, 500]), np.array([count, 0]))
    assert isinstance(figure, NotMeasured)
    assert figure.reason == f"needs at least {LEAST} images in each set; there are 1,000 and {count}"


@pytest.mark.parametrize("bad", [[], [[1, 2]], [1.0, math.nan], [1.0, -1.0], [math.inf, 1.0]])
def test_what_is_no_histogram_is_refused(bad):
    with pytest.raises(UsageError, match="row of finite counts"):
        stability_index(np.array(bad), np.array([1, 2]))
    with pytest.raises(UsageError, match="2 and 3 bins"):
        stability_index(np.array([90, 90]), np.array([1, 2, 3]))


def test_statistics_of_plain_pictures_are_what_they_should_be():
    half = torch.zeros(2, 3, 4, 6, dtype=torch.uint8)
    half[1, 0, :, 3:] = 255
    found = image_statistics(half)
    assert found["brightness"] == pytest.approx([0.0, 0.299 / 2])
    assert found["contrast"] == pytest.approx([0.0, 0.299 / 2])
    assert found["red_mean"] == pytest.approx([0.0, 0.5])
    assert found["blue_std"] == pytest.approx([0.0, 0.0])
    assert found["sharpness"][0] == 0.0 < found["sharpness"][1]
    assert image_statistics(half[:0])["brightness"].shape == (0,)
    assert "sharpness" not in image_statistics(half[:, :1, :2])
    for wrong in (half.float(), half[0], half[:, :2], half[:, :, :0]):
        with pytest.raises(SourceError, match="uint8"):
            image_statistics(wrong)


def test_drift_grows_with_the_strength_of_a_change():
    reference = Reference.of(images(seed=1))
    real = images(seed=2).float()

    def drift(name, changed):
        found = compare(reference, image_statistics(changed.clamp(0, 255).to(torch.uint8)))
        return found.drift[name].value

    brighter = [drift("brightness", real + shift) for shift in (0, 10, 30, 60, 120)]
    assert brighter == sorted(brighter)
    assert brighter[0] < 0.25 < 1.0 < brighter[-1]
    duller = [drift("contrast", (real - 128) * factor + 128) for factor in (1.0, 0.9, 0.7, 0.4, 0.1)]
    assert duller == sorted(duller)
    blurred, changed = [], real
    for _ in range(3):
        blurred.append(drift("sharpness", changed))
        changed = torch.nn.functional.avg_pool2d(changed, 3, stride=1, padding=1, count_include_pad=False)
    assert blurred == sorted(blurred)


def test_values_that_were_never_seen_have_bins_of_their_own():
    histogram = Histogram.of(np.full(100, 0.5))
    assert histogram.count(np.array([0.4, 0.5, 0.5, 0.6])).tolist() == [1, 2, 1]


def test_all_equal_images_are_compared():
    grey = torch.full((100, 1, 8, 8), 128, dtype=torch.uint8)
    reference = Reference.of(grey)
    assert compare(reference, image_statistics(grey)).drift["contrast"].value == pytest.approx(0.0, abs=1e-3)
    darker = compare(reference, image_statistics(grey - 1))
    assert darker.drift["brightness"].value > 1.0
    assert compare(Reference.of(images()), image_statistics(grey)).drift["contrast"].value > 1.0


def test_unlike_shapes_are_compared_as_far_as_they_can_be():
    reference = Reference.of(images(), class_counts=[300, 100])
    other = images(channels=3, size=(2, 8))
    found = compare(reference, image_statistics(other), unlike={"contrast": "they are too small"})
    assert isinstance(found.drift["brightness"], Estimate)
    assert found.drift["contrast"].reason == "they are too small"
    assert found.drift["sharpness"].reason == "these images do not have it"
    assert "trained on do not have it" in found.drift["red_mean"].reason
    assert found.drift[CLASSES].reason == "the classes of these images are not known"
    balanced = compare(reference, image_statistics(images()), class_counts=[200, 200])
    assert balanced.drift[CLASSES].value > 0.25


def test_one_to_fifty_images_give_reasons():
    reference = Reference.of(images())
    for count in (1, 2, 49):
        found = compare(reference, image_statistics(images(count)))
        assert found.images == count
        assert all(isinstance(figure, NotMeasured) for figure in found.drift.values())
        assert found.means["brightness"][1] == pytest.approx(0.5, abs=0.5)
    assert isinstance(compare(reference, image_statistics(images(50))).drift["brightness"], Estimate)


def test_an_artifact_keeps_its_reference_and_one_without_still_loads(tiny, tmp_path):
    source = tiny.source(tmp_path / "data.npz", count=60)
    artifact = tiny.fit(source)
    reference = Reference.read(artifact)
    assert (reference.images, reference.channels) == (artifact.manifest.training.images, 1)
    assert reference.class_counts == artifact.manifest.training.class_counts
    assert (artifact.path / "reference.json").stat().st_size < 10_000
    assert Reference.model_validate_json(reference.model_dump_json()) == reference
    assert Reference.read(tiny.untrained(Store())) is None
    path = tmp_path / "old"
    path.mkdir()
    old = tiny.untrained(Store(path))
    manifest = json.loads((old.path / "manifest.json").read_text())
    del manifest["statistics"]
    (old.path / "manifest.json").write_text(json.dumps(manifest))
    assert Store(path).find("toys").manifest.statistics is None
    (artifact.path / "reference.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"reference\.json is damaged"):
        Reference.read(artifact)


def test_a_reference_of_a_newer_synth_or_of_nonsense_is_refused(tiny, tmp_path):
    class Fake:
        path = tmp_path

        def __init__(self, content):
            self.content = content

        def statistics(self):
            return json.dumps(self.content).encode()

    good = Reference.of(images()).model_dump()
    with pytest.raises(ArtifactError, match="newer synth"):
        Reference.read(Fake({**good, "schema_version": 2}))
    for bad in ([], {}, {**good, "images": 0}, {**good, "statistics": {"x": {"cuts": []}}}):
        with pytest.raises(ArtifactError, match="cannot be used"):
            Reference.read(Fake(bad))
