"""What stands between samples and a model: its one size, and the classes as it counts them."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from synth.augment.models import ModelOperation
from synth.augment.samples import Samples
from synth.errors import ConfigError
from synth.text import some


class FittingOperation(ModelOperation):
    """Has a model that may take or make images of one size alone."""

    fit: Literal["resize"] | None = Field(
        None, description="For images of another size than the model's; by default they are refused."
    )

    def fitted(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """uint8 [n, C, *size]; raises ConfigError where the size is another one and ``fit`` is not given."""
        if tuple(images.shape[-2:]) == size:
            return images
        if self.fit is None:
            height, width = images.shape[-2:]
            raise ConfigError(
                f"{self.id}: images of {height} x {width} do not fit {size[0]} x {size[1]} (height x width), "
                f"and {self.model} takes or makes one size alone. Say 'fit: resize', or bring samples to its "
                "size first, by resized_crop."
            )
        # One by one, as sums over several images at once may round otherwise.
        return torch.cat(
            [F.interpolate(one, size, mode="bilinear", antialias=True) for one in torch.split(images, 1)]
        )


def model_labels(step: str, model: str, samples: Samples, classes: tuple[str, ...]) -> Tensor:
    """int64 [n]: the labels of samples in the classes of a model, by name where names are known.

    Raises ConfigError for labels that are shares, and for classes that the model does not have.
    """
    labels = samples.labels
    assert labels is not None
    if labels.is_floating_point() or labels.ndim != 1:
        raise ConfigError(f"{step}: {model} needs one class for each image, not shares of several.")
    labels = labels.cpu().long()
    known = len(classes if samples.classes is None else samples.classes)
    if len(labels) and (int(labels.min()) < 0 or int(labels.max()) >= known):
        whose = f"{model} has" if samples.classes is None else "the samples have"
        raise ConfigError(
            f"{step}: {whose} {known} classes, 0 to {known - 1}, and the labels go from "
            f"{int(labels.min())} to {int(labels.max())}. Give each sample a class, and use a model of "
            "these."
        )
    return labels if samples.classes is None else _table(step, model, samples.classes, classes)[labels]


def model_shares(step: str, model: str, samples: Samples, classes: tuple[str, ...]) -> Tensor:
    """float32 [n, K]: labels that are shares, [n, L], in the K classes of a model; raises as above."""
    labels = samples.labels
    assert labels is not None
    if samples.classes is not None and labels.shape[1] == len(samples.classes):
        places = _table(step, model, samples.classes, classes)
        return labels.new_zeros(len(labels), len(classes)).index_add_(1, places, labels)
    if samples.classes is not None or labels.shape[1] != len(classes):
        raise ConfigError(
            f"{step}: {model} has {len(classes)} classes, and the samples have {labels.shape[1]}. Use a "
            "model of the samples' classes."
        )
    return labels


def _table(step: str, model: str, names: tuple[str, ...], classes: tuple[str, ...]) -> Tensor:
    """int64 [L]: the number that a model gives to each class of the samples."""
    missing = [name for name in names if name not in classes]
    if missing:
        raise ConfigError(
            f"{step}: {model} does not know the classes {some(missing)}. It knows {some(classes)}; "
            "rename those of the samples, or use a model of their classes."
        )
    return torch.tensor([classes.index(name) for name in names])
