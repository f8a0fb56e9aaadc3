from __future__ import annotations

import pytest

from synth.errors import UsageError
from synth.serving.negotiation import choose_form
from synth.serving.problems import NotAcceptableError


@pytest.mark.parametrize(
    ("accept", "count", "name"),
    [
        (None, 1, "png"),
        ("*/*", 1, "png"),
        (None, 2, "json"),
        ("*/*", 2, "json"),
        ("", 2, "json"),
        ("application/x-tar", 1, "tar"),
        ("application/x-tar;q=0.5, application/x-npz", 2, "npz"),
        ("application/x-npz;q=0.2, */*;q=0.1", 2, "npz"),
        ("application/json;q=0, application/*", 2, "tar"),
        ("image/*, application/json;q=0.9", 1, "png"),
        ("image/png, application/json;q=0.9", 2, "json"),
        ("text/html, application/xml;q=0.9, */*;q=0.8", 1, "png"),
        ("APPLICATION/X-TAR ; Q=1.0", 2, "tar"),
        ("nonsense, application/x-tar;q=many, application/x-npz", 2, "npz"),
    ],
)
def test_accept_picks_the_form(accept, count, name):
    assert choose_form(None, accept, count).name == name


def test_format_wins_over_accept():
    assert choose_form("raw", "application/json", 3).name == "raw"


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "audio/*"])
def test_what_accept_does_not_take_is_not_sent(accept):
    with pytest.raises(NotAcceptableError, match="image/png, application/json, application/x-tar"):
        choose_form(None, accept, 1)


def test_several_images_as_png_are_refused_with_the_remedy():
    with pytest.raises(NotAcceptableError, match=r"ask for count 1, or accept one of application/json"):
        choose_form(None, "image/png", 2)
    with pytest.raises(UsageError, match="use one of json, tar, npz, raw"):
        choose_form("png", None, 2)


def test_an_unknown_format_is_refused_with_the_known_ones():
    with pytest.raises(NotAcceptableError, match=r"did you mean 'json'.*png, json, tar, npz, raw"):
        choose_form("jsno", None, 1)
