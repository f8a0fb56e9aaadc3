"""Which labels of a source are doubted, and by whom: by what was trained without them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from synth.artifacts.classifier_card import is_adapted
from synth.data import Source, load_images
from synth.evaluation.classifiers import Opinions
from synth.evaluation.extractor import Extractor
from synth.evaluation.figures import NotMeasured
from synth.evaluation.integrity.duplicates import Alike
from synth.evaluation.integrity.findings import Finding
from synth.evaluation.integrity.labels import LEAST_IMAGES, LEAST_PER_CLASS, LabelIssues, judge
from synth.evaluation.integrity.options import CheckOptions
from synth.evaluation.integrity.predictions import FOLDS, cross_validated, cross_validated_features
from synth.evaluation.integrity.survey import Survey
from synth.evaluation.leaks import check_no_leak

_CLASSIFIED = 32
"""The longest side that the classifier of the label check sees."""


def check_labels(
    source: Source,
    seen: Survey,
    alike: Alike,
    features: Tensor,
    extractor: Extractor | None,
    classifier: Opinions | None,
    options: CheckOptions,
) -> tuple[LabelIssues | NotMeasured, list[Finding]]:
    """The labels that are doubted: by ``classifier`` if there is one, by a regression on ``features`` if
    these are an extractor's, and else by networks that are trained here; see ``check_source``."""
    if not options.labels:
        return NotMeasured(reason="not asked for (--no-labels)"), []
    if seen.labels is None or seen.classes is None:
        return NotMeasured(reason="needs labels in at least two classes; this source has none"), []
    if classifier is not None:
        return _by_classifier(source, seen, classifier)
    counts = np.bincount(seen.labels, minlength=len(seen.classes))
    kept = np.flatnonzero(counts >= LEAST_PER_CLASS)
    rows = np.flatnonzero(np.isin(seen.labels, kept))
    if len(kept) < 2 or len(rows) < LEAST_IMAGES:
        return NotMeasured(
            reason=f"needs at least {LEAST_IMAGES} images, in two or more classes of at least "
            f"{LEAST_PER_CLASS}; "
            f"there are {len(rows)} in {len(kept)} such classes"
        ), []
    number = np.full(len(seen.classes), -1)
    number[kept] = np.arange(len(kept))
    labels = number[seen.labels[rows]]
    ids = [seen.ids[row] for row in rows]
    inner = _within(alike.links, rows, len(seen))
    # What is linked is one picture to the folds.
    if (different := len(rows) - len(inner)) < LEAST_IMAGES:
        return NotMeasured(
            reason=f"needs at least {LEAST_IMAGES} different images; there are {different}"
        ), []
    if extractor is None:
        size = options.size or _classifier_size(seen)
        if min(size) < 4:
            return NotMeasured(reason=f"needs images of at least 4 x 4 pixels, not {size[0]} x {size[1]}"), []
        images = load_images(source, size=size).images[torch.from_numpy(rows)]
        probabilities = cross_validated(
            images,
            labels,
            len(kept),
            ids,
            links=inner,
            seed=options.seed,
            images_seen=options.images_seen,
            device=options.device,
        )
        how = f"a small CNN at {size[0]} x {size[1]} pixels, {FOLDS} folds"
    else:
        chosen = features[torch.from_numpy(rows)]
        probabilities = cross_validated_features(
            chosen, labels, len(kept), ids, links=inner, seed=options.seed
        )
        how = f"logistic regression on features of {extractor.name}, {FOLDS} folds"
    return judge(
        probabilities,
        labels,
        [seen.origins[row] for row in rows],
        [seen.classes[one] for one in kept],
        f"confident learning with {how}",
        [name for name, count in zip(seen.classes, counts, strict=True) if count < LEAST_PER_CLASS],
    )


def _within(links: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """Links between these rows, in their own numbers."""
    place = np.full(count, -1)
    place[rows] = np.arange(len(rows))
    inner: np.ndarray = place[links]
    return inner[(inner >= 0).all(axis=1)]


def _classifier_size(seen: Survey) -> tuple[int, int]:
    """The images' own size where it is one and small, otherwise 32 x 32."""
    heights, widths = (np.unique(seen.statistics[name]) for name in ("height", "width"))
    if len(heights) == len(widths) == 1 and max(heights[0], widths[0]) <= _CLASSIFIED:
        return int(heights[0]), int(widths[0])
    return _CLASSIFIED, _CLASSIFIED


def _by_classifier(source: Source, seen: Survey, classifier: Opinions) -> tuple[LabelIssues, list[Finding]]:
    """The labels of a source that a classifier of the store speaks against; all are examined.

    Raises:
        LabelError: classes that it does not know.
        LeakError: it was trained on these images and their labels. An adapted one may have been trained on
            them as images of the target, without their labels; then its opinion says so.
    """
    assert seen.labels is not None
    assert seen.classes is not None
    manifest = classifier.artifact.manifest
    numbers = classifier.numbers(seen.classes, f"The source {seen.spec}").numpy()
    how = f"confident learning with {manifest.reference}"
    if not is_adapted(manifest):
        check_no_leak(classifier.artifact, seen.ids, seen.spec, origins=seen.origins)
    else:
        known = int(classifier.artifact.training_ids().contains(seen.ids).sum())
        how += f", whose training saw {known:,} of these images" if known else ""
    given = numbers[seen.labels]
    probabilities = classifier.probabilities(classifier.load(source).images).double().numpy()
    return judge(probabilities, np.asarray(given), list(seen.origins), classifier.classes, how)
