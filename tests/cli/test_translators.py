"""What the command line says of models that make images from images alone."""

from __future__ import annotations

import pytest

from synth.artifacts import Store
from tests import translators


@pytest.fixture(autouse=True)
def tint():
    with translators.known():
        yield translators.publish(Store())


def test_generate_names_translate(run, tmp_path):
    outcome = run("generate", "tint", "--count", "2", "--out", str(tmp_path / "out"), "--device", "cpu")
    assert outcome.code == 2
    assert (
        "tint@1 is a tint: it makes images from images, and none from nothing. Use synth translate"
        in outcome.err
    )
    assert not (tmp_path / "out").exists()


def test_show_and_the_model_card_say_what_it_is_for(run, tint):
    assert "images from images alone: synth translate tint@1" in run("models", "show", "tint").out
    card = (tint.path / "README.md").read_text()
    assert "pipeline_tag: image-to-image" in card
    assert "A `tint` translator: RGB images from images, trained at 16 x 16 pixels" in card
    assert "synth translate tint@1 --data FOLDER" in card
    assert "synth generate" not in card


def test_evaluate_cannot_make_what_is_to_be_measured(run, tiny, tmp_path):
    real = tiny.source(tmp_path / "real.npz", size=(16, 16), channels=3)
    outcome = run(
        "evaluate",
        "--real",
        str(real),
        "--synthetic",
        "tint",
        "--out",
        str(tmp_path / "out"),
        "--device",
        "cpu",
    )
    assert outcome.code == 2
    assert "Use synth translate tint@1" in outcome.err
