"""What a run shows: captioned previews, and curves in one picture."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from synth.training.caption import captioned
from synth.training.plot import draw_curves
from synth.training.runs import latest_run


def dark(picture: Image.Image, box: tuple[int, int, int, int]) -> bool:
    return bool((np.asarray(picture.crop(box).convert("L")) < 128).any())


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("names", [(), ("cat", "a class\nwith a name " + "that goes on " * 20)])
def test_a_caption_and_names_leave_the_picture_as_it_is(mode, names):
    picture = Image.effect_noise((60, 80), 50).convert(mode)
    whole = captioned(picture, "1,000 images seen", names)
    left, top = whole.width - 60, whole.height - 80
    assert whole.mode == mode
    assert np.array_equal(np.asarray(whole)[top:, left:], np.asarray(picture))
    assert dark(whole, (0, 0, whole.width, top))
    assert all(dark(whole, (0, top + 40 * row, left, top + 40 * row + 40)) for row in range(len(names)))
    assert whole.width < 300


def test_a_name_that_the_font_lacks_is_replaced_by_the_number_of_its_class():
    picture = Image.new("L", (60, 80))
    assert captioned(picture, "", ["cat", "\u732b"]) == captioned(picture, "", ["cat", "class 1"])


def test_previews_of_a_run_say_when_they_were_made_and_of_which_class_each_row_is(tiny, source, monkeypatch):
    said = []

    def listening(picture, caption, rows=()):
        said.append((caption, list(rows)))
        return captioned(picture, caption, rows)

    monkeypatch.setattr("synth.training.observer.captioned", listening)
    tiny.fit(source)
    tiny.fit(source, recipe=tiny.recipe(labels=False))
    classes = {tuple(rows) for _, rows in said}
    assert classes == {("kind0", "kind1"), ()}
    names = {f"{int(path.stem):,} images seen" for path in (latest_run("toy").path / "previews").iterdir()}
    assert names == {caption for caption, _ in said} != set()


def test_a_run_keeps_its_curves_as_a_picture(tiny, source, monkeypatch):
    monkeypatch.setattr("synth.training.loop._STEPS_BETWEEN_LOGS", 1)
    tiny.fit(source)
    with Image.open(latest_run("toy").path / "curves.png") as picture:
        picture.load()
    assert picture.mode == "RGB"
    assert min(picture.size) >= 100
    assert dark(picture, (0, 0, *picture.size))


def test_a_panel_for_each_figure_that_is_a_curve():
    rows = [(seen, name, 1.0 / (seen + 1)) for name in "abcd" for seen in range(100)]
    one, four = draw_curves(rows[:100]), draw_curves([*rows, (5, "measured once", 1.0)])
    assert one is not None
    assert four is not None
    assert (four.width, four.height) == (3 * one.width, 2 * one.height)


def test_what_is_not_finite_or_constant_does_not_hinder_a_picture():
    rows = [(1, "loss", math.nan), (2, "loss", 0.0), (3, "loss", math.inf), (4, "loss", 0.0)]
    assert draw_curves(rows) is not None
    assert draw_curves(rows[:3]) is None
    assert draw_curves([]) is None
