"""The recipe of the ``classifier`` family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from synth.training.robust import AdversarialRecipe


class ClassifierRecipe(AdversarialRecipe):
    """Recipe of a classifier, for one domain or for two."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {"width": 32, "most": 128, "blocks": 1, "features": 128},
        "small": {"width": 48, "most": 256, "blocks": 2, "features": 256},
        "base": {"width": 64, "most": 512, "blocks": 2, "features": 512},
        "large": {"width": 128, "most": 1024, "blocks": 3, "features": 1024},
    }
    needs_labels: ClassVar[bool] = True
    takes_shares: ClassVar[bool] = True
    few_images_hint: ClassVar[str] = "Small changes of the images (--set jitter=1) help against that."

    width: int = Field(32, ge=4, le=1024, description="Channels of the first stage; each doubles them.")
    most: int = Field(128, ge=4, le=4096, description="Channels of a stage at most.")
    blocks: int = Field(1, ge=1, le=16, description="Convolutions of a stage.")
    features: int = Field(128, ge=2, le=8192, description="Dimensions that the classes are told by.")
    normalise: Literal["batch", "none"] = Field(
        "batch", description="Batch normalisation, or none, as networks that are to be robust often have it."
    )
    jitter: float = Field(
        0.0, ge=0, le=2, description="Random turns, scales and shifts of images; 1: 15 degrees, a quarter."
    )
    adaptation: Literal["source", "coral", "dann"] = Field(
        "dann", description="With a target: how its unlabelled images are learnt from; source: not at all."
    )
    norms: Literal["apart", "together"] = Field(
        "apart",
        description="With a target: whether each domain passes batch normalisation by itself, and the "
        "target's statistics are published (AdaBN), or both pass it in one batch.",
    )
    coral: float = Field(1.0, ge=0, le=1e6, description="coral: weight of the distance of covariances.")
    reversal: float = Field(1.0, ge=0, le=100, description="dann: the reversed gradient's greatest weight.")
    reversal_speed: float = Field(10.0, gt=0, le=1e3, description="dann: how soon it is reached (gamma).")
    domain_hidden: int = Field(256, ge=4, le=8192, description="dann: width of what tells domains apart.")
    conditional: bool = Field(
        False, description="dann: domains are told apart under the predicted class (CDAN)."
    )
    entropy: float = Field(
        0.0, ge=0, le=100, description="coral, dann: weight of the entropy of predictions for the target."
    )
    pseudo_labels: float = Field(
        0.0, ge=0, le=100, description="coral, dann: weight of the classifier's own sure labels, late."
    )
    sure: float = Field(0.95, ge=0, le=1, description="Probability from which on such a label counts.")
    batch_size: int = Field(64, ge=2, description="Images per step, of each domain.")
    learning_rate: float = Field(1e-2, gt=0, description="At first; falls by 1 / (1 + 10 p)^0.75.")
    weight_decay: float = Field(5e-4, ge=0, description="Of SGD with momentum.")

    @model_validator(mode="after")
    def _wants_labels(self) -> ClassifierRecipe:
        if self.labels is False:
            raise ValueError("a classifier learns labels: leave --no-labels out, or train an encoder")
        return self
