"""Colour, brightness, size and sharpness per class, to reveal what a network could learn instead of the
class."""

from __future__ import annotations

import numpy as np

from synth.evaluation.integrity.effects import LARGE, LEAST, Effect, effect, spread
from synth.evaluation.integrity.findings import Finding, Record, Spread
from synth.evaluation.integrity.survey import STATISTICS, Survey
from synth.text import some

_WORDS = {
    "brightness": ("brighter", "darker"),
    "contrast": ("richer in contrast", "poorer in contrast"),
    "sharpness": ("sharper or noisier", "more blurred"),
    "saturation": ("more colourful", "less colourful"),
    "redness": ("redder", "less red"),
    "blueness": ("bluer", "less blue"),
    "height": ("higher", "less high"),
    "width": ("wider", "narrower"),
}


class ClassEffect(Record):
    """How a class differs from all others in one statistic."""

    class_name: str
    effect: Effect


class Appearance(Record):
    """What images look like in numbers; what the statistics mean is in ``meanings``."""

    meanings: dict[str, str]
    all: dict[str, Spread]
    per_class: dict[str, dict[str, Spread]] | None
    """Class -> statistic -> spread."""
    effects: list[ClassEffect]
    """Those that stand out, strongest first."""
    colour_share: float
    """Of images that are not grey."""
    sizes: int
    """Different heights and widths."""


def describe_appearance(survey: Survey) -> tuple[Appearance, list[Finding]]:
    """Spreads of all statistics, and the classes that stand out in some."""
    effects = sorted(_effects(survey), key=lambda one: -abs(one.effect.delta))
    sizes = np.stack([survey.statistics["height"], survey.statistics["width"]], axis=1)
    appearance = Appearance(
        meanings=STATISTICS,
        all={name: spread(values) for name, values in survey.statistics.items()},
        per_class=_per_class(survey),
        effects=effects,
        colour_share=float((survey.channels == 3).mean()),
        sizes=len(np.unique(sizes, axis=0)),
    )
    return appearance, [_finding(one) for one in effects]


def compared(statistic: str, one: Effect) -> str:
    """``darker`` and the like: what the images here are."""
    return _WORDS[statistic][0 if one.delta > 0 else 1]


def numbers(one: Effect) -> str:
    """Both medians and the effect, for messages."""
    return f"median {one.here.median:.3g} against {one.there.median:.3g}, effect {one.delta:+.2f}"


def _effects(survey: Survey) -> list[ClassEffect]:
    if survey.labels is None or survey.classes is None:
        return []
    found = []
    for number, name in enumerate(survey.classes):
        own = survey.labels == number
        if own.sum() < LEAST or (~own).sum() < LEAST:
            continue
        for statistic, values in survey.statistics.items():
            one = effect(statistic, values[own], values[~own])
            if one.stands_out(LARGE):
                found.append(ClassEffect(class_name=name, effect=one))
    return found


def _per_class(survey: Survey) -> dict[str, dict[str, Spread]] | None:
    if survey.labels is None or survey.classes is None:
        return None
    present = [number for number in range(len(survey.classes)) if (survey.labels == number).any()]
    return {
        survey.classes[number]: {
            name: spread(values[survey.labels == number]) for name, values in survey.statistics.items()
        }
        for number in present
    }


def _finding(one: ClassEffect) -> Finding:
    word = compared(one.effect.statistic, one.effect)
    return Finding(
        subject="shortcuts",
        severity="warning",
        message=f"Images of {one.class_name} are {word} than those of other classes ({one.effect.statistic}: "
        f"{numbers(one.effect)}).",
        remedy="If that is the camera and not the class, a network learns it instead: mix the sources of "
        "each class, "
        f"or vary {some([one.effect.statistic])} by augmentation.",
        count=1,
    )
