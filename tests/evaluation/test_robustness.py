"""Reports of robustness: accuracies in closed form, masked gradients that are seen, and the command line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from synth.artifacts import Store
from synth.cli import main
from synth.data import ImageSet
from synth.errors import ConfigError, LabelError, SourceError
from synth.evaluation.classifiers import open_classifier
from synth.evaluation.robustness import Adversary, Robustness, measure_robustness, to_markdown


@pytest.fixture(scope="module")
def store(tiny, tmp_path_factory) -> Store:
    """``judge``, which tells two kinds of images of 8 x 8, and ``toys``, a generator."""
    folder = tmp_path_factory.mktemp("robustness")
    store = Store(folder / "store")
    source = tiny.source(folder / "toys.npz", count=200)
    recipe = tiny.recipe("classifier", images_seen=16 * 90)
    tiny.fit(source, name="judge", family="classifier", recipe=recipe, store=store)
    tiny.untrained(store)
    return store


@pytest.fixture(scope="module")
def judge(store):
    return open_classifier("judge", store=store, device="cpu")


def unseen(tiny, folder, count=60):
    return tiny.source(folder / "unseen.npz", count=count, seed=1)


class Plane(nn.Module):
    """Tells two classes by the sign of w . x, x in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(64, generator=torch.Generator().manual_seed(0)))

    def forward(self, inputs):
        score = inputs.flatten(1) @ self.weight
        return torch.stack([-score, score], dim=1)


class Certain(nn.Module):
    """So certain that its cross-entropy has no gradient left: masked, and as easily fooled as before."""

    def __init__(self, network) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs):
        return 1e5 * self.network(inputs)


def pictures(network, count=200):
    """Images that the network is right on, far from black and white, labelled by its classes."""
    draw = torch.Generator().manual_seed(1)
    images = torch.randint(70, 186, (count, 1, 8, 8), dtype=torch.uint8, generator=draw)
    with torch.no_grad():
        labels = network(images / 127.5 - 1).argmax(1)
    ids = tuple(f"{row:064x}" for row in range(count))
    return ImageSet(images, labels, ids, ("kind0", "kind1"), source="pictures")


def test_accuracies_of_a_plane_are_those_of_its_closed_form(judge):
    plane = Plane()
    images = pictures(plane)
    radii = (2 / 255, 4 / 255, 8 / 255)
    report = measure_robustness(replace(judge, network=plane), images, Adversary(radii, steps=8, queries=600))
    with torch.no_grad():
        margins = (plane(images.images / 127.5 - 1)[:, 1]).abs()
        expected = [float((margins > 2 * eps * plane.weight.abs().sum()).double().mean()) for eps in radii]
    found = report.figures()
    assert found["clean"] == 1.0
    for eps, value in zip(radii, expected, strict=True):
        assert 0.1 < value < 0.99
        at = f"{round(eps * 255)}/255"
        assert found[f"fgsm@{at}"] == found[f"pgd@{at}"] == found[f"worst@{at}"] == value
        assert value <= found[f"rays@{at}"] <= value + 0.03
    assert all(check.passed for check in report.checks), report.checks
    assert found["checks"] == 1.0
    by_class = [one.per_class for one in report.attacks if one.name == "worst@2/255"]
    assert set(by_class[0]) == {"kind0", "kind1"}
    assert report == Robustness.model_validate_json(report.model_dump_json())


def test_masked_gradients_are_seen(judge):
    masked = Certain(Plane())
    images = pictures(masked)
    report = measure_robustness(
        replace(judge, network=masked), images, Adversary((0.03, 0.1), steps=8, queries=300)
    )
    failed = {check.name for check in report.checks if not check.passed}
    assert "decisions alone do not find more than gradients" in failed
    assert "another loss does not find more" in failed
    assert "without a radius nothing is left" in failed
    found = report.figures()
    assert found["worst@0.1"] < found["pgd@0.1"] - 0.3
    text = to_markdown(report)
    assert f"**{len(failed)} of 6 checks failed**" in text
    assert "| kind0 | 1.000 |" in text


def test_l2_reports_hold_too_and_images_need_known_classes(judge):
    plane = Plane()
    opinions, images = replace(judge, network=plane), pictures(plane, 50)
    report = measure_robustness(opinions, images, Adversary((0.01, 0.3), norm="l2", steps=8, queries=50))
    # 2.55 levels of length, and 0.3 in each of 64 values if it were not for rounding
    assert report.figures()["pgd@0.01"] < 1.0
    assert report.figures()["pgd@0.3"] < 0.9
    assert all(check.passed for check in report.checks), report.checks
    with pytest.raises(LabelError, match="classes that judge@1 does not know: cat"):
        measure_robustness(opinions, replace(images, classes=("kind0", "cat")), Adversary((0.1,)))
    with pytest.raises(SourceError, match="pictures has no labelled images"):
        measure_robustness(opinions, replace(images, labels=None, classes=None), Adversary((0.1,)))


@pytest.mark.parametrize(
    "values",
    [
        {"eps": ()},
        {"eps": (0.0,)},
        {"eps": (0.1, 0.0039)},
        {"eps": (0.1,), "norm": "l1"},
        {"eps": (0.1,), "steps": 0},
    ],
)
def test_adversaries_that_try_nothing_are_refused(values):
    with pytest.raises(ConfigError):
        Adversary(**values)


def test_the_command_reports_and_fails_under_a_limit(store, tiny, tmp_path, capsys):
    data, out = unseen(tiny, tmp_path), tmp_path / "report"
    words = ["robustness", "judge", "--data", str(data), "--store", str(store.root), "--device", "cpu"]
    words += [
        "--eps",
        "13/255,0.0514,0.3",
        "--steps",
        "4",
        "--queries",
        "20",
        "--count",
        "40",
        "--out",
        str(out),
    ]
    assert main([*words, "--json", "--fail-under", "clean=0.8", "--fail-under", f"pgd@{13 / 255}=0"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((out / "robustness.json").read_text())
    assert told["count"] == 40
    assert "# Robustness of judge@1" in (out / "robustness.md").read_text()
    assert main(words) == 2
    assert "replace the report with --overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite", "--fail-under", "worst@0.3=0.99"]) == 1
    captured = capsys.readouterr()
    assert "failed: worst@0.3 is " in captured.err
    assert "pgd@13/255 " in captured.out
    assert "pgd@0.0514 (13/255 in whole levels)" in captured.out
    assert "+ more steps leave no more" in captured.out


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--eps", "a/2"], 2, "--eps: Cannot read the radius 'a/2'"),
        (["--eps", "0.003"], 2, "0.003 changes no image"),
        (["--eps", "-1"], 2, "Radii are positive"),
        (["--norm", "l1"], 2, "no norm 'l1'"),
        (["--fail-under", "pdg@0.1=0.5"], 2, "no figure 'pdg@0.1' (did you mean 'pgd@0.1'?)"),
        (["--fail-under", "clean=7"], 2, "write clean=0.88"),
        (["--count", "-3"], 2, "--count"),
    ],
)
def test_words_that_cannot_be_used_are_refused(store, tiny, tmp_path, capsys, more, code, message):
    words = ["robustness", "judge", "--data", str(unseen(tiny, tmp_path, 4)), "--store", str(store.root)]
    assert main([*words, *more]) == code
    assert message in capsys.readouterr().err


def test_generators_and_images_of_the_training_are_refused(store, tiny, tmp_path, capsys):
    trained = str(tiny.source(tmp_path / "toys.npz", count=200))
    for model, message in (("judge", "was trained on"), ("toys", "tells no classes")):
        assert main(["robustness", model, "--data", trained, "--store", str(store.root)]) == 2
        assert message in capsys.readouterr().err
