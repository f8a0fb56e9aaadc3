"""The page, the files, the limits and the verdict of a report."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from synth.errors import ConfigError, NotFoundError, OutputExistsError, SourceError
from synth.evaluation.figures import Estimate, NotMeasured
from synth.evaluation.report import load_report, render_html, save_report
from synth.evaluation.report.names import missed, parse_limits
from synth.evaluation.report.verdict import judge


class Page(HTMLParser):
    """Its tags, each with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(report):
    text = render_html(report)
    for tag, attributes in Page(text).tags:
        assert tag not in ("script", "link", "iframe", "object")
        for name, value in attributes.items():
            assert not name.startswith("on"), tag
            assert name not in ("src", "href") or value.startswith(("data:image/png;base64,", "#"))
    assert not re.search(r"url\(|@import|https?://", text)
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text
    assert all(f'id="{name}"' in text for name in ("verdict", "validity", "fidelity", "novelty", "limits"))
    assert render_html(report) == text


def test_texts_of_the_user_are_no_markup(report):
    evil = "<script>alert(1)</script>"
    facts = report.facts.model_copy(update={"notes": [evil], "model": evil, "model_digest": "0" * 64})
    text = render_html(report.model_copy(update={"facts": facts}))
    assert evil not in text
    assert "&lt;script&gt;" in text


def test_files_are_written_whole_and_nothing_is_overwritten_unasked(report, tmp_path):
    out = tmp_path / "deep" / "out"
    save_report(report, out)
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "report.json"]
    assert load_report(out) == report
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        save_report(report, out)
    save_report(report, out, overwrite=True)
    assert (out / "notes.txt").read_text() == "mine"
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_report_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(NotFoundError, match="no report"):
        load_report(tmp_path)
    for text, says in (("{", "not JSON"), ('{"kind": "synth-report", "schema_version": 99}', "update synth")):
        (tmp_path / "report.json").write_text(text)
        with pytest.raises(SourceError, match=says):
            load_report(tmp_path)


@pytest.mark.parametrize(
    ("under", "over", "says"),
    [
        (["tstr_ration=0.8"], [], "did you mean 'tstr_ratio'"),
        (["tstr_ratio"], [], "write tstr_ratio=NUMBER"),
        (["tstr_ratio=nan"], [], "write tstr_ratio=NUMBER"),
        (["copies=0.1"], [], "Use --fail-over copies=0.1"),
        ([], ["precision=0.1"], "Use --fail-under precision=0.1"),
    ],
)
def test_limits_that_cannot_be_meant_are_refused(under, over, says):
    with pytest.raises(ConfigError, match=re.escape(says)):
        parse_limits(under, over)


def test_limits_are_missed_by_values_beyond_them_and_by_what_was_not_measured(report):
    precision = report.fidelity.precision.value
    assert missed(report, parse_limits([f"precision={precision}"], [])) == []
    assert "must be at least 1.5" in missed(report, parse_limits(["precision=1.5"], []))[0]
    assert "must be at most -1" in missed(report, parse_limits([], ["copies=-1"]))[0]
    gone = report.fidelity.model_copy(update={"precision": NotMeasured(reason="needs more")})
    assert missed(report.model_copy(update={"fidelity": gone}), parse_limits(["precision=0"], [])) == [
        "precision was not measured: needs more"
    ]


def figure(value: float, half: float = 0.0, floor: float | None = None) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half, floor=floor)


@pytest.mark.parametrize(
    ("gain", "small", "copies", "status"),
    [
        (figure(0.03, 0.01), figure(0.0, 0.2), figure(0.004, 0.002, 0.004), "helps"),
        (figure(0.0, 0.002), figure(0.1, 0.05), figure(0.0), "helps"),
        (figure(-0.03, 0.01), figure(0.1, 0.05), figure(0.0), "harmful"),
        (figure(0.001, 0.005), figure(0.0, 0.2), figure(0.0), "does-not-help"),
        (figure(0.01, 0.1), figure(0.0, 0.2), figure(0.0), "cannot-tell"),
        (NotMeasured(reason="x"), NotMeasured(reason="x"), figure(0.0), "cannot-tell"),
        (figure(0.03, 0.01), figure(0.0, 0.2), figure(0.02, 0.005, 0.005), "copies"),
    ],
)
def test_the_verdict_follows_the_rules_in_their_order(report, gain, small, copies, status):
    utility = report.utility.model_copy(update={"gain": gain, "gain_small": small})
    novelty = report.novelty.model_copy(update={"copies": copies, "identical": 0})
    verdict = judge(
        report.validity, report.fidelity, report.diversity, utility, novelty, report.bias, report.labels
    )
    assert verdict.status == status
    assert verdict.headline.startswith("Copies") == (status == "copies")
    assert verdict.reasons
