"""What decides a split, besides the samples."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field

from synth.data.folds import MOST_FOLDS
from synth.errors import ConfigError

DEFAULT_FRACTIONS = {"train": 0.8, "val": 0.1, "holdout": 0.1}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_FOLD = re.compile(r"(not-)?fold-.*", re.IGNORECASE)


class SplitRule(BaseModel):
    """Equal rules divide equal samples equally, on every machine and in every version of synth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fractions: dict[str, float]
    """Part -> share of the samples; the first part is for training."""
    folds: int | None = Field(default=None, ge=2, le=MOST_FOLDS)
    """How many folds the first part is divided into."""
    seed: int = 0
    level: int = 0
    """0; 1 for the split of a part of a split, and so on: each level has a hash of its own."""
    groups: str | None = None
    """Where the groups come from."""
    near_duplicates: float | None = None
    """Greatest difference (``synth.data.perceptual.NearRule``) of pictures kept together; None: not looked
    for."""
    encoder: str | None = None
    """Digest of the extractor in whose features near-duplicates were looked for, too."""
    similarity: float | None = None
    """Least cosine of features of pictures kept together."""


def parse_fractions(text: str | None, folds: int | None = None) -> dict[str, float]:
    """``train=0.8,val=0.1,holdout=0.1``. Without a text: that, or with folds all in one part.

    Raises ConfigError for what cannot be read, and for names that cannot be folders or mean folds.
    """
    if text is None:
        return dict(DEFAULT_FRACTIONS) if folds is None else {"all": 1.0}
    fractions: dict[str, float] = {}
    for piece in text.split(","):
        name, _, number = (word.strip() for word in piece.partition("="))
        try:
            value = float(number)
        except ValueError:
            raise ConfigError(
                f"Cannot read the fractions {text!r}; write train=0.8,val=0.1,holdout=0.1."
            ) from None
        if not _NAME.fullmatch(name) or _FOLD.fullmatch(name) or name.casefold() in ("split", "con", "nul"):
            raise ConfigError(
                f"A part cannot be called {name!r}: use letters, digits, - and _, and none of split, "
                "fold-N and not-fold-N."
            )
        if name.casefold() in (other.casefold() for other in fractions):
            raise ConfigError(f"The part {name!r} is named twice in {text!r}.")
        fractions[name] = value
    return fractions
