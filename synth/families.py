"""The table of families: the one place where a new kind of model is added.

Each entry names, as ``module:attribute`` and imported only when used, what a family consists of:

    network   ``(config: dict, image: ImageShape, classes: int) -> nn.Module``  (synth/models)
    program   ``(network) -> Program``: what the sampler core runs; None where    (synth/models)
              the family makes no images. It begins samples from nothing, from images, or both:
              ``FromNothing`` and ``Translator`` in ``synth.models.program``
    recipe    the pydantic type of its training configuration; None where it is   (synth/training)
              not trained here
    module    its Lightning module, or None                                       (synth/training)
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from synth.errors import ConfigError, NotFoundError, UsageError
from synth.text import closest


@dataclass(frozen=True)
class Family:
    """One kind of model; the attributes are import paths, see the module's docstring."""

    name: str
    summary: str
    network: str
    program: str | None
    recipe: str | None
    module: str | None
    from_nothing: bool = True
    """Whether its program, if it has one, begins samples from nothing; one that does not is a translator."""
    takes_target: bool = False
    """Whether it learns from two sources: from images, and from those of a domain that they are to get to."""
    target_optional: bool = False
    """Whether it learns from one source, too."""

    def load(self, part: str) -> Any:
        """Import one part: ``network``, ``program`` (of a generator), ``recipe`` or ``module``.

        Raises ConfigError for the last two where the family is not trained.
        """
        path = getattr(self, part)
        if path is None:
            self.require_training()
        module_name, attribute = str(path).split(":")
        return getattr(importlib.import_module(module_name), attribute)

    def require_training(self) -> None:
        """Raise ConfigError, with what there is instead, where models of it are not trained here."""
        if not self.trains:
            raise ConfigError(
                f"Models of the family {self.name} are not trained here: adopt one with synth models import. "
                f"Families that are trained: {', '.join(TRAINED)}."
            )

    @property
    def trains(self) -> bool:
        """Whether ``synth train`` makes models of it."""
        return self.recipe is not None

    @property
    def needs_target(self) -> bool:
        """Whether it learns from two sources alone."""
        return self.takes_target and not self.target_optional

    @property
    def makes_images(self) -> bool:
        """Whether it makes images, from nothing or from others; an encoder does not."""
        return self.program is not None

    @property
    def generates(self) -> bool:
        """Whether it makes images from nothing; an encoder does not, nor does a mere translator."""
        return self.makes_images and self.from_nothing

    @property
    def translates(self) -> bool:
        """Whether it makes images from images: its program is a ``synth.models.program.Translator``."""
        return self.makes_images and (not self.from_nothing or hasattr(self.load("program"), "begin_from"))


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="vae",
            summary="class-conditional variational autoencoder with an ex-post latent density",
            network="synth.models.vae:VAE",
            program="synth.models.vae:VAEProgram",
            recipe="synth.training.vae:VAERecipe",
            module="synth.training.vae:VAEModule",
        ),
        Family(
            name="flow",
            summary="class-conditional flow matching on a U-Net, and a student in a few calls",
            network="synth.models.flow:Flow",
            program="synth.models.flow:FlowProgram",
            recipe="synth.training.flow_recipe:FlowRecipe",
            module="synth.training.flow:FlowModule",
        ),
        Family(
            name="gan",
            summary="class-conditional adversarial network with gradient penalties, sampled in one step",
            network="synth.models.gan:Generator",
            program="synth.models.gan:GANProgram",
            recipe="synth.training.gan_recipe:GANRecipe",
            module="synth.training.gan:GANModule",
        ),
        Family(
            name="cut",
            summary="translator from one domain to another, unpaired, held to its content by contrast",
            network="synth.models.cut:Cut",
            program="synth.models.cut:CutProgram",
            recipe="synth.training.cut:CutRecipe",
            module="synth.training.cut:CutModule",
            from_nothing=False,
            takes_target=True,
        ),
        Family(
            name="cyclegan",
            summary="translator between two domains, unpaired, in both directions, each undone by the other",
            network="synth.models.cyclegan:CycleGAN",
            program="synth.models.cyclegan:CycleGANProgram",
            recipe="synth.training.cyclegan:CycleGANRecipe",
            module="synth.training.cyclegan:CycleGANModule",
            from_nothing=False,
            takes_target=True,
        ),
        Family(
            name="style",
            summary="neural style augmentation: images in the random, or given, styles of a collection",
            network="synth.models.style:StyleNetwork",
            program="synth.models.style:StyleProgram",
            recipe="synth.training.style_recipe:StyleRecipe",
            module="synth.training.style:StyleModule",
            from_nothing=False,
            takes_target=True,
        ),
        Family(
            name="diffusers",
            summary="pipelines of diffusers that were trained elsewhere: synth models import",
            network="synth.models.pipeline:Pipeline",
            program="synth.models.denoising:DenoisingProgram",
            recipe=None,
            module=None,
        ),
        Family(
            name="encoder",
            summary="self-supervised encoder: the feature space that images are compared in",
            network="synth.models.encoder:Encoder",
            program=None,
            recipe="synth.training.encoder:EncoderRecipe",
            module="synth.training.encoder:EncoderModule",
        ),
        Family(
            name="classifier",
            summary="classifier of images, also for a domain without labels (DANN, CORAL): synth adapt",
            network="synth.models.classifier:Classifier",
            program=None,
            recipe="synth.training.classifier_recipe:ClassifierRecipe",
            module="synth.training.classifier:ClassifierModule",
            takes_target=True,
            target_optional=True,
        ),
    )
}


TRAINED = tuple(name for name, family in FAMILIES.items() if family.trains)
"""Names of the families that ``synth train`` makes models of."""


def get_family(name: str) -> Family:
    """The family of that name, or NotFoundError with the names that exist."""
    try:
        return FAMILIES[name]
    except KeyError:
        raise NotFoundError(
            f"There is no family {name!r}{closest(name, FAMILIES)}. Families: {', '.join(FAMILIES)}."
        ) from None


def check_target(name: str, *, given: bool) -> None:
    """Raise ConfigError where a family needs a target to train and has none, or has one and takes none."""
    family = get_family(name)
    if family.needs_target and not given:
        raise ConfigError(
            f"{name} learns the way from one domain to another. Say with a target (--target SOURCE) what "
            "images are to become like; the data (--data) are those to begin with."
        )
    if given and not family.takes_target:
        able = ", ".join(other for other, each in FAMILIES.items() if each.takes_target)
        raise ConfigError(
            f"{name} learns from its data (--data) alone; leave the target out, or train one of: {able}."
        )


def makes_images(name: str) -> bool:
    """Whether models of that family make images; a family that this version does not know may."""
    return name not in FAMILIES or FAMILIES[name].makes_images


def generates(name: str) -> bool:
    """Whether models of that family make images from nothing; one that this version does not know may."""
    return name not in FAMILIES or FAMILIES[name].generates


def translates(name: str) -> bool:
    """Whether models of that family are known to make images from images."""
    return name in FAMILIES and FAMILIES[name].translates


def require_images(name: str, reference: str) -> None:
    """Raise UsageError, with what the model is good for, where its family makes no images."""
    if not makes_images(name):
        gives = "classes" if name == "classifier" else "features"
        raise UsageError(
            f"{reference} is {_an(name)}: it turns images into {gives} and makes none. Name a generator, "
            "such as synth train vae makes; synth models list shows each model's family."
        )


def require_generator(name: str, reference: str) -> None:
    """As ``require_images``; also where its family makes images from images alone."""
    require_images(name, reference)
    if not generates(name):
        raise UsageError(
            f"{reference} is {_an(name)}: it makes images from images, and none from nothing. Use synth "
            f"translate {reference} --data SOURCE --out DIR, or POST /v1/images/translations; or name a "
            "generator."
        )


def require_translator(name: str, reference: str) -> None:
    """Raise UsageError where models of that family do not make images from images."""
    require_images(name, reference)
    if not translates(name):
        raise UsageError(
            f"{reference} is {_an(name)}: it makes images from nothing and cannot translate. Use synth "
            "generate, or another model."
        )


def _an(name: str) -> str:
    return f"an {name}" if name[:1] in "aeiou" else f"a {name}"
