"""What goes wrong with translators without any loss showing it, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

from synth.artifacts import Metric
from synth.artifacts.preservation import THRESHOLD

_LEAST_CHANGE = 0.02
"""Root mean square difference, pixels in 0 to 1: below it nothing is to be seen."""
_LEAST_CLOSED = 0.1
"""Share of the distance between the domains."""
_FEW, _MOST = 0.05, 0.95
"""Shares of images that are inverted: none but some, and some but not all, is what cannot be right."""
_LEAST_GEOMETRY = 0.5
"""Of unrelated pictures it is about 0.3."""


def warnings(metrics: Mapping[str, Metric]) -> list[str]:
    """What the user should know of these figures, of each direction."""
    found = []
    for suffix, way in (("", "A -> B"), ("_b_to_a", "B -> A")):
        values = {
            name.removesuffix(suffix): metric.value
            for name, metric in metrics.items()
            if metric.value is not None and name.endswith(suffix) and (suffix or "_b_to_a" not in name)
        }
        found += [f"{way}: {text}" for text in _of_one_way(values)]
    return found


def _of_one_way(values: Mapping[str, float]) -> list[str]:
    """``values`` by name; those that could not be measured are missing, and nothing is said of them."""
    checks = (_unchanged, _inverted, _labels_lost, _edges_moved)
    return [text for check in checks if (text := check(values)) is not None]


def _unchanged(values: Mapping[str, float]) -> str | None:
    change, closed = values.get("change", 1.0), values.get("gap_closed", 1.0)
    if change >= _LEAST_CHANGE and closed >= _LEAST_CLOSED:
        return None
    found = f"images differ by {change:.3f} from what they were, and {closed:.0%} of the gap is closed"
    return (
        f"the translator hardly leaves the domain that it begins with ({found}). Train longer, or with a "
        "lower weight of what keeps content: --set nce=..., --set identity=... or --set cycle=..."
    )


def _inverted(values: Mapping[str, float]) -> str | None:
    share = values.get("inverted", 0.0)
    if share <= _FEW:
        return None
    if share >= _MOST:
        return "light and dark are exchanged; look at the preview whether the target wants that."
    return (
        f"light and dark are exchanged in {share:.0%} of the images, and not in the others. Train with "
        "another --seed, or with a higher --set identity=... or --set nce=..."
    )


def _labels_lost(values: Mapping[str, float]) -> str | None:
    kept = values.get("label_preservation", 1.0)
    if kept >= THRESHOLD:
        return None
    return (
        f"only {kept:.1%} of the images keep their class. Labels of translated images are not to be trusted: "
        "train longer, or with a higher weight of what keeps content (--set nce=... or --set cycle=...)."
    )


def _edges_moved(values: Mapping[str, float]) -> str | None:
    geometry = values.get("geometry", 1.0)
    if geometry >= _LEAST_GEOMETRY:
        return None
    return (
        f"edges are not where they were (geometry {geometry:.2f}): boxes and masks do not survive, and "
        "contents may be lost."
    )
