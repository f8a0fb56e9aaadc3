"""The table of operations: the one place where a new one is added.

Each is named with its version, ``rotate@1``, and imported when it is used. What a version does to pixels
never changes; another behaviour is another version.
"""

from __future__ import annotations

import importlib

from synth.augment.operation import Operation
from synth.errors import ConfigError
from synth.text import closest

_COLOUR = "synth.augment.operations.colour"
_NOISE = "synth.augment.operations.noise"
_GEOMETRIC = "synth.augment.operations.geometric"
_FRAMING = "synth.augment.operations.framing"
_MIXING = "synth.augment.operations.mixing"
_SAFE_CROP = "synth.augment.operations.safe_crop"
_MOSAIC = "synth.augment.operations.mosaic"
_GENERATIVE = "synth.augment.operations.generative"
_OBJECTS = "synth.augment.operations.objects"
_ADVERSARIAL = "synth.augment.operations.adversarial"
_POLICIES = "synth.augment.operations.policies"

OPERATIONS: dict[str, str] = {
    "horizontal_flip@1": f"{_GEOMETRIC}:HorizontalFlip",
    "vertical_flip@1": f"{_GEOMETRIC}:VerticalFlip",
    "rotate@1": f"{_GEOMETRIC}:Rotate",
    "scale@1": f"{_GEOMETRIC}:Scale",
    "translate@1": f"{_GEOMETRIC}:Translate",
    "shear@1": f"{_GEOMETRIC}:Shear",
    "affine@1": f"{_GEOMETRIC}:Affine",
    "perspective@1": f"{_GEOMETRIC}:Perspective",
    "elastic@1": f"{_GEOMETRIC}:Elastic",
    "grid_distortion@1": f"{_GEOMETRIC}:GridDistortion",
    "pad@1": f"{_FRAMING}:Pad",
    "crop@1": f"{_FRAMING}:Crop",
    "resized_crop@1": f"{_FRAMING}:ResizedCrop",
    "box_safe_crop@1": f"{_SAFE_CROP}:BoxSafeCrop",
    "brightness@1": f"{_COLOUR}:Brightness",
    "contrast@1": f"{_COLOUR}:Contrast",
    "saturation@1": f"{_COLOUR}:Saturation",
    "hue@1": f"{_COLOUR}:Hue",
    "gamma@1": f"{_COLOUR}:Gamma",
    "posterise@1": f"{_COLOUR}:Posterise",
    "solarise@1": f"{_COLOUR}:Solarise",
    "invert@1": f"{_COLOUR}:Invert",
    "equalise@1": f"{_COLOUR}:Equalise",
    "autocontrast@1": f"{_COLOUR}:Autocontrast",
    "grey@1": f"{_COLOUR}:Grey",
    "channel_shuffle@1": f"{_COLOUR}:ChannelShuffle",
    "sharpness@1": f"{_COLOUR}:Sharpness",
    "blur@1": f"{_COLOUR}:Blur",
    "jpeg@1": f"{_COLOUR}:Jpeg",
    "gaussian_noise@1": f"{_NOISE}:GaussianNoise",
    "poisson_noise@1": f"{_NOISE}:PoissonNoise",
    "speckle@1": f"{_NOISE}:Speckle",
    "salt_and_pepper@1": f"{_NOISE}:SaltAndPepper",
    "cutout@1": f"{_NOISE}:Cutout",
    "random_erasing@1": f"{_NOISE}:RandomErasing",
    "grid_mask@1": f"{_NOISE}:GridMask",
    "mixup@1": f"{_MIXING}:Mixup",
    "cutmix@1": f"{_MIXING}:Cutmix",
    "mosaic@1": f"{_MOSAIC}:Mosaic",
    "generate@1": f"{_GENERATIVE}:Generate",
    "translate_domain@1": f"{_GENERATIVE}:TranslateDomain",
    "style@1": f"{_GENERATIVE}:Style",
    "interpolate@1": "synth.augment.operations.latent:Interpolate",
    "copy_paste@1": f"{_OBJECTS}:CopyPaste",
    "mask_dropout@1": f"{_OBJECTS}:MaskDropout",
    "fgsm@1": f"{_ADVERSARIAL}:Fgsm",
    "pgd@1": f"{_ADVERSARIAL}:Pgd",
    "rays@1": f"{_ADVERSARIAL}:RayS",
    "autoaugment@1": f"{_POLICIES}:AutoAugment",
    "randaugment@1": f"{_POLICIES}:RandAugment",
    "trivial_augment_wide@1": f"{_POLICIES}:TrivialAugmentWide",
    "augmix@1": f"{_POLICIES}:AugMix",
}


def full_name(name: str) -> str:
    """``rotate@1`` of ``rotate`` (the newest version) or of itself; ConfigError for any other name."""
    if name in OPERATIONS:
        return name
    versions = [known for known in OPERATIONS if known.partition("@")[0] == name]
    if versions:
        return max(versions, key=lambda known: int(known.partition("@")[2]))
    bare = [known.partition("@")[0] for known in OPERATIONS]
    stem, at, _ = name.partition("@")
    if at and stem in bare:
        there = [known for known in OPERATIONS if known.partition("@")[0] == stem]
        raise ConfigError(f"There is no operation {name!r}. Versions here: {', '.join(there)}.")
    raise ConfigError(f"There is no operation {name!r}{closest(stem, bare)}. Operations: {', '.join(bare)}.")


def operation_type(name: str) -> type[Operation]:
    """The class of an operation by its full name."""
    module, _, attribute = OPERATIONS[name].partition(":")
    found: type[Operation] = getattr(importlib.import_module(module), attribute)
    return found
