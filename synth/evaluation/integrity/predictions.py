"""Out-of-sample probabilities: each sample is judged by a model that was trained without it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from synth.data.folds import fold_by_hash
from synth.evaluation.utility import train_classifier

FOLDS = 3
_CHUNK = 1_000
_EPOCHS = 10
_LEAST_SEEN, _MOST_SEEN = 3_000, 200_000


def images_seen_for(count: int) -> int:
    """How long each classifier is trained, so that all take minutes on two cores.

    10 times all images up to 4,000 of them, then 40,000 up to 30,000, then four thirds of all. What is needed
    is an order of suspicion, and networks that have seen each image a few times have not learnt its label by
    heart: with 60,000 images of Fashion-MNIST 80,000 are enough (benchmarks/label_errors.py).
    """
    long = max(min(_EPOCHS * count, 40_000), count * 4 // 3)
    return min(max(long, _LEAST_SEEN), _MOST_SEEN)


def cross_validated(
    images: Tensor,
    labels: np.ndarray,
    classes: int,
    ids: Sequence[str],
    *,
    links: np.ndarray | None = None,
    seed: int = 0,
    folds: int = FOLDS,
    images_seen: int | None = None,
    device: str = "auto",
) -> np.ndarray:
    """float64 [N, K] by the project's small CNN, trained once for each fold on all the others.

    Args:
        images: uint8 [N, C, H, W].
        labels: int64 [N].
        classes: K.
        ids: content hashes, which decide the folds.
        links: int64 [M, 2], near-duplicates: a copy with the same wrong label would speak for it.
        images_seen: by each classifier; by default ``images_seen_for`` of N.
    """
    fold_of = fold_by_hash(ids, folds, labels, seed=seed, links=links)
    seen = images_seen_for(len(images)) if images_seen is None else images_seen
    probabilities = np.zeros((len(images), classes))
    targets = torch.from_numpy(labels)
    for fold in range(folds):
        rows, others = (torch.from_numpy(np.flatnonzero(fold_of == fold)),
                        torch.from_numpy(np.flatnonzero(fold_of != fold)))  # fmt: skip
        if not len(rows):
            continue
        network = train_classifier(
            images[others], targets[others], classes, seed=seed + fold, images_seen=seen, device=device
        )
        where = next(network.parameters()).device
        with torch.inference_mode():
            for part in torch.split(rows, _CHUNK):
                logits = network(images[part].to(where).float() / 127.5 - 1.0)
                probabilities[part.numpy()] = torch.softmax(logits.double(), dim=1).cpu().numpy()
    return probabilities


def cross_validated_features(
    features: Tensor,
    labels: np.ndarray,
    classes: int,
    ids: Sequence[str],
    *,
    links: np.ndarray | None = None,
    seed: int = 0,
    folds: int = FOLDS,
) -> np.ndarray:
    """The same by logistic regression on features, float32 [N, D]; seconds instead of minutes."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    fold_of = fold_by_hash(ids, folds, labels, seed=seed, links=links)
    values = features.double().numpy()
    values = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-12)
    probabilities = np.zeros((len(values), classes))
    for fold in range(folds):
        rows, others = fold_of == fold, fold_of != fold
        if not rows.any():
            continue
        present = np.unique(labels[others])
        if len(present) < 2:
            probabilities[np.ix_(rows, present)] = 1.0
            continue
        model = LogisticRegression(C=0.1, max_iter=200)
        with warnings.catch_warnings():
            # What is stopped early is regularised, and all that is wanted is an order.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(values[others], labels[others])
        probabilities[np.ix_(rows, model.classes_)] = model.predict_proba(values[rows])
    return probabilities
