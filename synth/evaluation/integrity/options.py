"""How to look for what may be wrong with a source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckOptions:
    """How to look.

    Attributes:
        near_duplicates: greatest difference of near-duplicates (``NearRule``); 0: only equal ones are found.
        similarity: least cosine of near-duplicates in the features of an extractor.
        size: (height, width) that images are brought to for the extractor, and for the classifier.
        labels: whether labels are checked, which takes most of the time.
        images_seen: by each classifier of the label check; None: by the number of images.
        seed: of folds and classifiers.
        device: of the classifiers.
    """

    near_duplicates: float = 0.16
    similarity: float = 0.98
    size: tuple[int, int] | None = None
    labels: bool = True
    images_seen: int | None = None
    seed: int = 0
    device: str = "auto"
