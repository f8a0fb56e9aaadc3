"""The verdict: fixed rules, in this order, on figures with their intervals. The first that holds decides.

    invalid         the validity gate is not passed
    copies          some synthetic images are identical to real ones, or more are taken for copies than the
                    one per cent of false alarms that the search may have
    harmful         adding the synthetic images lowers accuracy: its gain's interval lies below 0
    helps           it raises accuracy, with all real images or with few: the interval lies above 0
    does-not-help   neither: the whole interval is within one point of 0
    cannot-tell     utility was not measured, or its interval is too wide for either

Everything else is told as a reason, and never outvotes these: there is no blended score.
"""

from __future__ import annotations

from collections.abc import Iterator

from synth.evaluation.figures import Estimate, Figure
from synth.evaluation.report.model import (
    BiasPart,
    DiversityPart,
    FidelityPart,
    LabelPart,
    NoveltyPart,
    Reason,
    Status,
    Tone,
    UtilityPart,
    ValidityPart,
    Verdict,
)
from synth.text import plural

FALSE_ALARMS = 0.01
"""Share of new images that the search may take for copies; more than that are copies."""
MARGIN = 0.01
"""A gain within one point of accuracy is called none."""
_MEMORISED = 0.55
_REPEATED = 0.01
_FEW_RECALLED = 0.8
_SHIFTED = 0.1
_DISAGREES = 0.9
_WEAK_SEARCH = 0.95

_HEADLINES: dict[Status, str] = {
    "invalid": "Not valid: the synthetic images are not what they must be, and nothing else was measured.",
    "copies": "Copies: the set holds images that are copies of training images.",
    "harmful": "Harmful: a classifier does worse on real images once these are added.",
    "helps": "Helps: a classifier does better on real images once these are added.",
    "does-not-help": "Does not help: a classifier does as well without these images.",
    "cannot-tell": "Cannot tell: these data do not say whether the images help.",
}


def judge(
    validity: ValidityPart,
    fidelity: FidelityPart,
    diversity: DiversityPart,
    utility: UtilityPart,
    novelty: NoveltyPart,
    bias: BiasPart,
    labels: LabelPart,
) -> Verdict:
    """The verdict on a report's sections, with its reasons: first what decided it."""
    if not passed(validity):
        problems = [Reason(tone="bad", text=problem) for problem in validity.problems]
        return Verdict(status="invalid", headline=_HEADLINES["invalid"], reasons=problems)
    status = _status(utility, novelty)
    reasons = [
        *_novelty(novelty, decided=status == "copies"),
        *_utility(utility),
        *_fidelity(fidelity),
        *_diversity(diversity),
        *_labels_and_bias(labels, bias),
    ]
    if status != "copies":  # utility decided: it stands first
        reasons.sort(key=lambda reason: reason not in list(_utility(utility)))
    headline = _HEADLINES[status]
    if status == "helps" and not _above(utility.gain, 0.0):
        headline = "Helps where real images are few: a classifier does better there once these are added."
    return Verdict(status=status, headline=headline, reasons=reasons)


def passed(validity: ValidityPart) -> bool:
    """Whether the gate lets the set through."""
    share = validity.valid_share
    return isinstance(share, Estimate) and share.value == 1.0 and not validity.problems


def copied(part: NoveltyPart) -> bool:
    """Whether there are copies for certain."""
    copies = part.copies
    beyond = isinstance(copies, Estimate) and copies.low > max(FALSE_ALARMS, copies.floor or 0.0)
    return part.identical > 0 or beyond


def _status(utility: UtilityPart, novelty: NoveltyPart) -> Status:
    gain, small = utility.gain, utility.gain_small
    if copied(novelty):
        return "copies"
    if _below(gain, 0.0) or (_below(small, 0.0) and not _above(gain, 0.0)):
        return "harmful"
    if _above(gain, 0.0) or _above(small, 0.0):
        return "helps"
    if isinstance(gain, Estimate) and gain.low > -MARGIN and gain.high < MARGIN:
        return "does-not-help"
    return "cannot-tell"


def _novelty(part: NoveltyPart, *, decided: bool) -> Iterator[Reason]:
    if part.identical:
        yield _reason(
            "bad", f"{plural(part.identical, 'synthetic image')} are identical to real ones, pixel by pixel."
        )
    if isinstance(part.copies, Estimate):
        text = (
            f"{_percent(part.copies.value)} of the synthetic images were taken for copies of training images"
        )
        if part.copies.floor is not None:
            text += f"; of unseen real images {_percent(part.copies.floor)}"
        if decided:
            yield _reason("bad", f"{text}. Look at the closest pairs before these data leave your hands.")
        else:
            yield _reason("good", f"No copies were found beyond false alarms: {text}.")
    else:
        yield _reason("neutral", f"Copies were not searched for: it {part.copies.reason}.")
    weak = [one for one in part.power if isinstance(one.recall, Estimate) and one.recall.value < _WEAK_SEARCH]
    if weak:
        found = weak[0].recall
        assert isinstance(found, Estimate)
        yield _reason(
            "bad",
            f"The search for copies is weak here: of {_percent(weak[0].share)} planted ones it found "
            f"{_percent(found.value)}.",
        )
    nearer = part.nearer_to_training
    if _above(nearer, _MEMORISED):
        assert isinstance(nearer, Estimate)
        yield _reason(
            "bad",
            f"{_percent(nearer.value)} of the synthetic images are nearer to a training image than to an "
            "unseen one, where about half are expected: parts of the training images were memorised.",
        )


def _utility(part: UtilityPart) -> Iterator[Reason]:
    gain, small, over = part.gain, part.gain_small, part.gain_over_classical
    if not isinstance(gain, Estimate):
        yield _reason("neutral", f"Utility was not measured: it {gain.reason}.")
        return
    yield _reason(_tone(gain), f"Added to all real images they change accuracy by {_points(gain)}.")
    if isinstance(small, Estimate):
        yield _reason(
            _tone(small), f"Added to a tenth of the real images they change it by {_points(small)}."
        )
    if isinstance(over, Estimate):
        words = {
            "good": "That is more than classical augmentation of the same budget gives",
            "bad": "Classical augmentation of the same budget, which costs nothing, gives more",
            "neutral": "Classical augmentation of the same budget gives neither clearly more nor clearly "
            "less",
        }
        yield _reason(_tone(over), f"{words[_tone(over)]}; the difference is {_points(over)}.")
    if (
        not any(_above(one, 0.0) or _below(one, 0.0) for one in (gain, small))
        and gain.high - gain.low > MARGIN * 2
    ):
        yield _reason(
            "neutral", "More seeds (--seeds) and more test images (--holdout) make this interval narrower."
        )
    ratio = part.tstr_ratio
    if isinstance(ratio, Estimate):
        yield _reason(
            "neutral", f"Trained on synthetic images alone, a classifier reaches {ratio.value:.2f} of the "
            "accuracy that real ones give.",
        )  # fmt: skip


def _fidelity(part: FidelityPart) -> Iterator[Reason]:
    told = part.two_sample_accuracy
    if isinstance(told, Estimate):
        floor = "" if told.floor is None else f"; two real sets are told apart in {_percent(told.floor)}"
        tone: Tone = "good" if told.low <= max(told.floor or 0.5, 0.5) else "neutral"
        yield _reason(
            tone, f"A classifier tells real from synthetic in {_percent(told.value)} of cases{floor}."
        )


def _diversity(part: DiversityPart) -> Iterator[Reason]:
    if _above(part.duplicates, _REPEATED) and isinstance(part.duplicates, Estimate):
        beyond = part.duplicates.value - (part.duplicates.floor or 0.0)
        if beyond > _REPEATED:
            yield _reason("bad", f"{_percent(part.duplicates.value)} of the synthetic images have a "
                          "duplicate in "
                          "the set.")  # fmt: skip
    coverage = part.coverage
    if isinstance(coverage, Estimate) and coverage.high < _FEW_RECALLED * (coverage.floor or 1.0):
        yield _reason(
            "bad",
            f"Only {_percent(coverage.value)} of the real images have a synthetic one among their neighbours "
            f"({_percent(coverage.floor or 1.0)} have a real one): part of the domain is missing.",
        )


def _labels_and_bias(labels: LabelPart, bias: BiasPart) -> Iterator[Reason]:
    agreement = labels.agreement
    if isinstance(agreement, Estimate) and agreement.high < _DISAGREES * (agreement.floor or 1.0):
        yield _reason(
            "bad",
            f"An independent classifier agrees with {_percent(agreement.value)} of the labels; on real "
            f"images with {_percent(agreement.floor or 1.0)}.",
        )
    if _above(bias.class_shift, _SHIFTED) and isinstance(bias.class_shift, Estimate):
        yield _reason(
            "neutral",
            f"The classes are in other proportions than in the real images (shifted by "
            f"{_percent(bias.class_shift.value)}).",
        )


def _reason(tone: Tone, text: str) -> Reason:
    return Reason(tone=tone, text=text)


def _above(figure: Figure, value: float) -> bool:
    return isinstance(figure, Estimate) and figure.low > value


def _below(figure: Figure, value: float) -> bool:
    return isinstance(figure, Estimate) and figure.high < value


def _tone(figure: Estimate) -> Tone:
    return "good" if figure.low > 0 else "bad" if figure.high < 0 else "neutral"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %" if value < 0.1 or value > 0.995 else f"{100 * value:.0f} %"


def _points(figure: Estimate) -> str:
    low, high = 100 * figure.low, 100 * figure.high
    text = f"{100 * figure.value:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})"
    return text.replace("-", "\u2212")
