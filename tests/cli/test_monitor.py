"""synth monitor MODEL --data SOURCE."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from synth.artifacts import Store


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """A store with ``toy``, trained on 400 images, and ``toys``, which has no statistics; and the images."""
    folder = tmp_path_factory.mktemp("monitor")
    source = tiny.source(folder / "data.npz", count=400)
    store = Store(folder / "store")
    tiny.fit(source, store=store, runs=folder / "runs")
    tiny.untrained(store)
    return store.root, source


@pytest.fixture
def monitor(run, trained):
    def call(data, *words, model="toy"):
        return run("monitor", model, "--data", str(data), "--store", str(trained[0]), *words)

    return call


def changed(source, path, change):
    with np.load(source) as data:
        images, labels, names = data["images"], data["labels"], data["class_names"]
    np.savez(path, **change(images, labels, names))
    return path


def test_the_training_images_themselves_do_not_drift(monitor, trained):
    shown = monitor(trained[1], "--fail-over", "any=0.1")
    assert shown.code == 0, shown.err
    lines = [line.split() for line in shown.out.splitlines()]
    assert [line[0] for line in lines] == ["STATISTIC", "brightness", "classes", "contrast", "sharpness"]
    assert all(float(line[1]) < 0.1 for line in lines[1:])


def test_what_has_changed_is_found_and_fails_where_it_shall(monitor, trained, tmp_path):
    def brighter(images, labels, names):
        return {"images": np.clip(images.astype(int) + 60, 0, 255).astype(np.uint8), "labels": labels * 0 + 1,
                "class_names": names}  # fmt: skip

    data = changed(trained[1], tmp_path / "bright.npz", brighter)
    found = json.loads(monitor(data, "--json").out)
    assert (found["model"], found["images"]) == ("toy@1", 400)
    assert found["drift"]["brightness"]["value"] > 1.0
    assert found["means"]["brightness"][1] > found["means"]["brightness"][0] + 0.1
    failed = monitor(data, "--fail-over", "brightness=0.25", "--fail-over", "sharpness=9")
    assert (failed.code, failed.out != "") == (1, True)
    assert "The images have drifted. brightness: the drift is" in failed.err
    assert "sharpness" not in failed.err.splitlines()[-1]


@pytest.mark.parametrize("count", [1, 2, 49])
def test_few_images_are_said_to_be_too_few_and_fail_a_limit(monitor, trained, tmp_path, count):
    data = changed(trained[1], tmp_path / "few.npz", lambda images, *_: {"images": images[:count]})
    shown = monitor(data)
    assert shown.code == 0
    assert re.search(
        rf"brightness: needs at least 50 images in each set; there are \d+ and {count}\n", shown.out
    )
    assert "nan" not in shown.out
    failed = monitor(data, "--fail-over", "any=0.1")
    assert (failed.code, "could not be measured" in failed.err) == (1, True)


def test_other_sizes_channels_and_classes_are_compared_as_far_as_they_can_be(monitor, trained, tmp_path):
    def other(images, labels, names):
        colour = np.repeat(images, 3, axis=3)[:, ::2, ::2]
        colour[..., 2] //= 2
        return {"images": colour, "labels": labels, "class_names": np.array(["kind0", "else"])}

    found = json.loads(monitor(changed(trained[1], tmp_path / "other.npz", other), "--json").out)
    drift = found["drift"]
    assert drift["brightness"]["kind"] == drift["contrast"]["kind"] == "estimate"
    assert drift["sharpness"]["reason"].startswith(
        "400 of 400 images are smaller than 8 x 8 and were enlarged"
    )
    assert drift["red_mean"]["reason"] == "400 of 400 images are in colour, and the model is grey"
    assert drift["classes"]["reason"] == "the model does not have the class else"


def test_all_equal_images_are_compared(monitor, trained, tmp_path):
    def equal(images, labels, names):
        return {"images": np.full_like(images, 7)}

    drift = json.loads(monitor(changed(trained[1], tmp_path / "equal.npz", equal), "--json").out)["drift"]
    assert drift["contrast"]["value"] > 1.0
    assert drift["classes"]["reason"] == "these images have no labels"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--fail-over", "brightnes=1"], "did you mean 'brightness'"),
        (["--fail-over", "brightness"], "write STATISTIC=NUMBER"),
        (["--fail-over", "brightness=nan"], "write STATISTIC=NUMBER"),
        (["--fail-over", "=1"], "write STATISTIC=NUMBER"),
    ],
)
def test_a_limit_that_cannot_be_is_a_usage_error(monitor, trained, words, says):
    refused = monitor(trained[1], *words)
    assert (refused.code, says in refused.err) == (2, True)


def test_a_model_without_statistics_and_one_that_is_not_there_are_named(monitor, trained):
    refused = monitor(trained[1], model="toys")
    assert (refused.code, "without statistics of its training images" in refused.err) == (2, True)
    assert "There is no model" in monitor(trained[1], model="nobody").err
    assert "There is no folder" in monitor("nowhere").err
