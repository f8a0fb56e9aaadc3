"""The utility study: the same small classifier, trained with the same budget on different sets.

What is compared is trained in the same way, on as many images seen, from the same weights, in the same order
of seeds. Each seed has its own fold to be tested on, so that all test images are used once:

    with a holdout      trained on all real images, tested on the seed's fold of the holdout
    without             trained on the real images out of the seed's fold, tested on that fold
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synth.data import ImageSet
from synth.data.folds import fold_by_hash
from synth.evaluation.classical import augment_classically
from synth.evaluation.mixtures import RATIOS, Mixture, mixtures, take
from synth.evaluation.utility import predict_classifier, train_classifier

MINIMUM = 50
"""Fewer real, synthetic or test images than this are not studied."""
FEWEST_FOLDS = 3
WIDTH = 16
"""Of the classifier: half that of the published quality figures, to train many of them in minutes."""
_PIXELS_SEEN = 28_000 * 28 * 28
"""A whole report of 10,000 real and synthetic images then takes five minutes on two CPU cores."""
_LEAST_SEEN, _MOST_SEEN = 12_000, 28_000


@dataclass(frozen=True)
class Trial:
    """One training and its test.

    Attributes:
        mixture: what it was trained on.
        seed: counts from 0.
        right: bool [T]: the test images that it got right.
        labels: int64 [T], of the test images.
        rows: int64 [T]: their places in the set tested on.
    """

    mixture: Mixture
    seed: int
    right: Tensor
    labels: Tensor
    rows: np.ndarray

    @property
    def accuracy(self) -> float:
        """0 to 1."""
        return float(self.right.float().mean())


@dataclass(frozen=True)
class Study:
    """All trials, and what the classifiers trained on real images alone make of the synthetic ones.

    Attributes:
        mixtures: see ``synth.evaluation.mixtures``.
        trials: one for each mixture and seed.
        opinions: float32 [N, K]: mean probabilities of the classes of each synthetic image.
        trts: accuracy on the synthetic images, by seed.
        images_seen: length of each training.
        flip: whether classical augmentation mirrored.
    """

    mixtures: list[Mixture]
    trials: list[Trial]
    opinions: Tensor
    trts: list[float]
    images_seen: int
    flip: bool

    def of(self, mixture: Mixture) -> list[Trial]:
        """The trials of one mixture, by seed."""
        return [trial for trial in self.trials if trial.mixture == mixture]


def budget(shape: Sequence[int]) -> int:
    """Images seen in each training, for images of ``shape`` (C, H, W): the same work whatever the size."""
    return int(min(max(_PIXELS_SEEN // (shape[1] * shape[2]), _LEAST_SEEN), _MOST_SEEN))


def run_study(
    real: ImageSet,
    synthetic: ImageSet,
    holdout: ImageSet | None,
    *,
    seed: int,
    seeds: int,
    images_seen: int,
    ratios: Sequence[float] = RATIOS,
    flip: bool = True,
    device: str = "auto",
    progress: Callable[[float], None] = lambda share: None,
) -> Study:
    """Train and test all mixtures with all seeds.

    Args:
        real, synthetic, holdout: of one shape, with labels of the same classes.
        seed: decides folds and rows; ``seed + s`` the weights of seed s.
        progress: told of the share that is done.
    """
    classes = len(real.classes or ())
    tested = real if holdout is None else holdout
    folds = _folds(tested, max(seeds, FEWEST_FOLDS) if holdout is None else seeds, seed)
    first = _training(real, holdout, folds, 0)
    found = mixtures(len(first[1]), len(synthetic), classes, ratios)
    made = _pair(synthetic)
    trials: list[Trial] = []
    opinions, trts = torch.zeros(len(synthetic), classes), []
    for number in range(seeds):
        training = _training(real, holdout, folds, number)
        test, truth = _pair(tested.subset(folds[number]))
        for mixture in found:
            fitting = mixture if mixture.size != "all" else _resized(mixture, len(training[1]))
            images, labels = take(fitting, training, made, seed=seed + number)
            network = train_classifier(
                images,
                labels,
                classes,
                seed=seed + number,
                images_seen=images_seen,
                device=device,
                augment=_augment(flip) if mixture.classical else None,
                width=WIDTH,
            )
            right = predict_classifier(network, test).argmax(dim=1) == truth
            trials.append(Trial(mixture, number, right, truth, folds[number]))
            if mixture.size == "all" and not mixture.synthetic and not mixture.classical:
                opinion = predict_classifier(network, made[0])
                opinions += opinion / seeds
                trts.append(float((opinion.argmax(dim=1) == made[1]).float().mean()))
            progress(len(trials) / (len(found) * seeds))
    return Study(found, trials, opinions, trts, images_seen, flip)


def _folds(tested: ImageSet, folds: int, seed: int) -> list[np.ndarray]:
    """Rows of each fold; equal images are in the same."""
    if folds == 1:
        return [np.arange(len(tested))]
    labels = None if tested.labels is None else tested.labels.numpy()
    fold_of = fold_by_hash(tested.ids, folds, labels, seed=seed)
    return [np.flatnonzero(fold_of == number) for number in range(folds)]


def _training(
    real: ImageSet, holdout: ImageSet | None, folds: list[np.ndarray], number: int
) -> tuple[Tensor, Tensor]:
    if holdout is not None:
        return _pair(real)
    keep = np.setdiff1d(np.arange(len(real)), folds[number])
    return _pair(real.subset(keep))


def _resized(mixture: Mixture, real: int) -> Mixture:
    """The same with all the real images of another seed's folds, which differ a little in number."""
    return Mixture(mixture.size, real, mixture.synthetic, mixture.classical)


def _pair(images: ImageSet) -> tuple[Tensor, Tensor]:
    assert images.labels is not None
    return images.images, images.labels


def _augment(flip: bool) -> Callable[[Tensor, int, Tensor], Tensor]:
    return lambda images, seed, index: augment_classically(images, seed, index, flip=flip)
