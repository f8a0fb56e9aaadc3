"""``evaluate``: what is measured, what is refused, and what cannot be said."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from synth.data import load_images, open_source
from synth.errors import LabelError, LeakError, SourceError, UsageError
from synth.evaluation.report import Report, evaluate, figures
from synth.evaluation.report.names import MEANINGS


@pytest.fixture
def run(extractor):
    def run(real, synthetic, holdout=None, **options):
        options = {"seeds": 1, "images_seen": 256, "ratios": (1.0,), **options}
        return evaluate(real, synthetic, extractor=extractor, holdout=holdout, **options)

    return run


def test_every_figure_is_measured_where_there_is_enough_to_measure(report):
    found = figures(report)
    assert found.keys() == MEANINGS.keys()
    assert {name: one.reason for name, one in found.items() if one.kind == "not-measured"} == {}
    for name in ("kernel_distance", "precision", "recall", "coverage", "two_sample_accuracy"):
        assert found[name].floor is not None, name
    assert all(one.low <= one.value <= one.high for one in found.values())
    assert [one.name for one in report.utility.per_class] == ["kind0", "kind1", "kind2"]
    assert [one.name for one in report.bias.per_group] == ["far", "near"]
    assert [one.share for one in report.novelty.power] == [0.01, 0.05, 0.1]
    assert len(report.novelty.pairs) == 20
    assert report.facts.extractor_digest == "ab" * 32


def test_a_report_is_frozen_and_survives_json(report):
    with pytest.raises(ValidationError):
        report.software = "x"
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_the_same_images_as_real_ones_are_copies(run, make):
    report = run(make(150), make(150), make(120, seed=2))
    assert report.verdict.status == "copies"
    assert report.novelty.identical == 150
    assert figures(report)["copies"].value == 1.0
    assert "identical to real ones" in report.verdict.reasons[0].text


def noisy(made, share):
    """The same with the labels of a share of the images drawn anew, of any class."""
    draw = torch.Generator().manual_seed(4)
    replaced = torch.rand(len(made), generator=draw) < share
    drawn = torch.randint(3, (len(made),), generator=draw)
    return replace(made, labels=torch.where(replaced, drawn, made.labels))


def test_random_labels_teach_nothing_while_real_images_still_do(run, make):
    report = run(make(150), noisy(make(150, seed=1), 1.0), make(120, seed=2), images_seen=3_000)
    assert report.utility.real_accuracy.value > 0.9
    assert report.utility.tstr_accuracy.value < 0.6
    assert report.utility.tstr_accuracy.value < report.utility.tstr_accuracy.floor


def test_wrong_labels_lower_tstr_and_agreement_in_order(run, make):
    found = [
        figures(run(make(150), make(150, seed=1, wrong=share), make(120, seed=2), images_seen=3_000))
        for share in (0.0, 0.4, 1.0)
    ]
    for name in ("tstr_accuracy", "label_agreement"):
        values = [one[name].value for one in found]
        assert values[0] > values[1] > values[2], name


def test_without_a_holdout_memorising_is_not_measured_and_the_limits_say_so(run, make):
    report = run(make(150), make(120, seed=1))
    assert "holdout" in report.novelty.nearer_to_training.reason
    assert figures(report)["copies"].kind == "estimate"
    assert any("no holdout" in limit for limit in report.limits)


@pytest.mark.parametrize("count", [1, 2, 7, 50])
def test_few_images_give_reasons_and_never_nonsense(run, make, count):
    report = run(make(count + 1), make(count, seed=1), make(count, seed=2))
    assert all(one.kind == "estimate" or one.reason for one in figures(report).values())
    if count < 50:
        assert "there are" in report.utility.gain.reason
        assert report.verdict.status == "cannot-tell"


def test_labels_are_matched_by_name_and_a_missing_class_is_measured(run, make):
    real, made = make(150), make(150, seed=1)
    shuffled = replace(made, labels=2 - made.labels, classes=made.classes[::-1])
    assert figures(run(real, shuffled, images_seen=3_000))["label_agreement"].value > 0.5
    dropped = made.subset((made.labels != 1).nonzero()[:, 0])
    report = run(real, dropped)
    assert report.facts.synthetic.class_counts == [50, 0, 50]
    assert report.bias.class_shift.value == pytest.approx(1 / 3)
    assert report.diversity.per_class[1].recall.kind == "not-measured"


def test_images_without_labels_or_of_one_class_are_measured_but_for_utility(run, make):
    bare = replace(make(120, seed=1), labels=None, classes=None)
    report = run(make(150), bare, make(120, seed=2))
    assert figures(report)["precision"].kind == "estimate"
    assert "labelled" in report.utility.gain.reason
    one, other = (
        replace(make(60, seed=seed), labels=torch.zeros(60).long(), classes=("a",)) for seed in (0, 1)
    )
    assert "2 classes" in run(one, other).utility.gain.reason


def test_what_is_not_valid_is_judged_by_the_gate_alone(run, make):
    broken = replace(make(60, seed=1), labels=torch.full((60,), 7))
    report = run(make(80), broken)
    assert report.verdict.status == "invalid"
    assert "label out of 0 to 2" in report.verdict.reasons[0].text
    assert figures(report)["precision"].reason == "the validity gate was not passed"
    not_finite = replace(make(60, seed=1), images=make(60, seed=1).images.float() * float("nan"))
    assert run(make(80), not_finite).verdict.status == "invalid"


def test_a_set_of_one_picture_is_flagged_and_real_ones_are_refused(run, make):
    real, one = make(150), make(150, seed=1)
    same = replace(one, images=one.images[:1].expand(150, -1, -1, -1).contiguous())
    report = run(real, same, make(120, seed=2))
    assert figures(report)["duplicates"].value == 1.0
    assert any("duplicate" in reason.text for reason in report.verdict.reasons)
    with pytest.raises(SourceError, match="same picture"):
        run(same, real)


def test_sets_that_cannot_be_compared_are_refused_with_a_remedy(run, make):
    real, made = make(60), make(60, seed=1)
    with pytest.raises(SourceError, match=r"1 x 16 x 12.*--size 12x12"):
        run(real, make(60, seed=1, shape=(1, 16, 12)))
    with pytest.raises(SourceError, match=r"3 x 12 x 12.*--channels 1"):
        run(real, make(60, seed=1, shape=(3, 12, 12)))
    with pytest.raises(LabelError, match="real ones lack: owl"):
        run(real, replace(made, classes=("kind0", "kind1", "owl")))
    with pytest.raises(SourceError, match="no synthetic images"):
        run(real, make(0))
    with pytest.raises(LeakError, match="10 of the 10 images in the holdout"):
        run(real, made, real.subset(range(10)))
    with pytest.raises(UsageError, match="1 to 30 seeds"):
        run(real, made, seeds=0)


def test_features_that_are_not_finite_are_refused(make, extractor):
    class Broken(type(extractor)):
        def features(self, images):
            return super().features(images) * float("nan")

    with pytest.raises(SourceError, match="NaN, infinite"):
        evaluate(make(60), make(60, seed=1), extractor=Broken())


def test_a_generator_is_not_measured_on_what_it_was_trained_on(extractor, tiny, tmp_path):
    artifact = tiny.fit(tiny.source(tmp_path / "real.npz", count=60))
    trained = load_images(open_source(tmp_path / "real.npz"))
    other = load_images(open_source(tiny.source(tmp_path / "other.npz", count=60, seed=1)))
    with pytest.raises(LeakError, match="toy@1 was trained on"):
        evaluate(other, other, extractor=extractor, holdout=trained, generator=artifact)
