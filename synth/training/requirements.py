"""What images must be to be trained on by a recipe: what is wrong is refused and what is doubtful noted,
with numbers and with what to set."""

from __future__ import annotations

from dataclasses import replace

from synth.data import ImageSet, require_images
from synth.errors import ConfigError, LabelError, SourceError
from synth.text import plural
from synth.training.recipe import Recipe
from synth.training.reporter import Reporter


def with_labels(images: ImageSet, recipe: Recipe) -> ImageSet:
    """The images, without their labels where the recipe's ``labels`` is False.

    Raises:
        LabelError: the recipe asks for labels, or the family learns nothing else, and there are none, or all
            would be the same.
    """
    if recipe.labels is False:
        return replace(images, labels=None, classes=None, shares=None)
    if (recipe.labels or recipe.needs_labels) and images.labels is None:
        found = f" ({'; '.join(images.notes)})" if images.notes else ""
        asks = "--labels asks for labels" if recipe.labels else "This family learns labels"
        remedy = "Add them, or train without --labels." if not recipe.needs_labels else "Add them."
        raise LabelError(
            f"{asks}, and {images.source} has none to learn{found}. It takes two classes or more, "
            f"such as two folders of images in it. {remedy}"
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


def check_targets(images: ImageSet, recipe: Recipe, tell: Reporter) -> None:
    """The same for the images of a target."""
    if recipe.pairs_target:
        check_count(images, recipe, tell)
    elif len(images) < recipe.least_targets:
        raise SourceError(
            f"{images.source} holds {plural(len(images), 'image')}, and --target must hold at least "
            f"{recipe.least_targets}: {recipe.targets_hint} Add more, or name a larger source."
        )
    elif len(images) < recipe.enough_targets:
        tell.note(f"{plural(len(images), 'image')} in {images.source} are few: {recipe.targets_hint}")


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
