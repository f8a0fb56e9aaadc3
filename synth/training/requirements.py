"""What images must be to be trained on by a recipe: what is wrong is refused and what is doubtful noted,
with numbers and with what to set."""

from __future__ import annotations

from dataclasses import replace

from synth.data import ImageSet, require_images
from synth.errors import ConfigError, LabelError
from synth.text import plural
from synth.training.recipe import Recipe
from synth.training.reporter import Reporter


def with_labels(images: ImageSet, labels: bool | None) -> ImageSet:
    """The images, without their labels where a recipe's ``labels`` is False.

    Raises:
        LabelError: ``labels`` is True, and there are none, or all would be the same.
    """
    if labels is False:
        return replace(images, labels=None, classes=None)
    if labels and images.labels is None:
        found = f" ({'; '.join(images.notes)})" if images.notes else ""
        raise LabelError(
            f"--labels asks for labels, and {images.source} has none to learn{found}. It takes two classes "
            "or more, such as two folders of images in it. Add them, or train without --labels."
        )
    return images


def check_count(images: ImageSet, recipe: Recipe, tell: Reporter) -> None:
    """Note where there are fewer images than the family learns well from.

    Raises:
        SourceError: there are fewer than it can learn anything from.
    """
    require_images(images, recipe.least_images)
    if len(images) < recipe.enough_images:
        tell.note(
            f"{plural(len(images), 'image')} are few: with less than about {recipe.enough_images:,}, this "
            f"family may learn them by heart. {recipe.few_images_hint} Look for near-copies of training "
            "images before you use the samples."
        )


def with_fitting_batch(recipe: Recipe, training: int, tell: Reporter) -> Recipe:
    """The recipe with a batch of at most so many training images.

    Raises:
        ConfigError: a batch that was asked for is larger. Only a default is made smaller.
    """
    size = recipe.batch_size
    if size <= training:
        return recipe
    if recipe.is_chosen("batch_size"):
        raise ConfigError(
            f"A batch of {size:,} is larger than the data: there are {plural(training, 'image')} to train on "
            f"(validation keeps a share of {recipe.validation:g} back). Use --batch-size {training} or less, "
            "or more images."
        )
    tell.note(f"Batches of {training}, since there are no more images to train on; the default is {size}.")
    return recipe.model_copy(update={"batch_size": training})
