"""Radii as people write them: ``0.3`` and ``8/255``, each in one form, so that names of figures agree."""

from __future__ import annotations

from fractions import Fraction

from synth.errors import ConfigError


def radius_of(text: str) -> float:
    """The number that a text stands for, a decimal or a fraction; ConfigError where it is none."""
    try:
        return float(text) if "/" not in text else float(Fraction(text.replace(" ", "")))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ConfigError(
            f"Cannot read the radius {text.strip()!r}; write a number such as 0.1 or 8/255."
        ) from None


def radius_text(eps: float) -> str:
    """The shortest of ``0.3`` and ``8/255`` that stands for exactly this number."""
    exact = next(text for digits in range(1, 18) if float(text := f"{eps:.{digits}g}") == eps)
    levels = f"{round(255 * eps)}/255"
    return levels if len(levels) < len(exact) and radius_of(levels) == eps else exact
