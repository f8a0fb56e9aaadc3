"""What the Lightning modules of all families share: two sets of weights, the optimiser, the schedule."""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import lightning
import torch
from PIL import Image
from torch import Tensor, nn

from synth.artifacts import Metric
from synth.batch import Precision
from synth.data import ImageSet
from synth.families import get_family
from synth.models.program import ImageShape, NetworkConfig
from synth.sampling.device import DTYPES
from synth.training.batches import TrainingBatch
from synth.training.parts import Domains
from synth.training.preview import preview
from synth.training.recipe import Recipe
from synth.training.team import Team

_MOST_GRADIENT_NORM = 1.0


class FamilyModule(lightning.LightningModule):
    """A network in training, and ``average``: the moving average of its weights, which is published.

    Attributes:
        progress: share of the training that is done, 0 to 1; decides learning rate and warm-ups.
        figures: the last step's figures by name, tensors without gradients.
        notes: what the user should read; whoever passes a note on takes it out.
        team: the place of this process in the training.
    """

    family: str
    parts_rest: bool = False
    """Whether there are steps in which some of the weights that are learnt get no gradient."""
    optional_parts: frozenset[str] = frozenset()
    """Fields of ``network_config`` in which a model that training starts from may differ."""

    def __init__(self, recipe: Recipe, image: ImageShape, classes: int) -> None:
        super().__init__()
        self.recipe, self.image, self.classes = recipe, image, classes
        build = get_family(self.family).load("network")
        self.network: nn.Module = build(self.network_config(), image, classes)
        self.average: nn.Module = copy.deepcopy(self.network).requires_grad_(False)
        self.progress = 0.0
        self.figures: dict[str, Tensor] = {}
        self.notes: list[str] = []
        self.team = Team()

    @abstractmethod
    def network_config(self) -> NetworkConfig:
        """What the network is built from, as plain JSON; it goes into the manifest."""

    @abstractmethod
    def loss(
        self, images: Tensor, labels: Tensor | None, position: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch, and figures to log. ``images`` are float32 [B, C, H, W] in [-1, 1].

        Where a family learns from two domains they are [2 B, C, H, W]: B images, and then B of the target.
        """

    def meet(self, domains: Domains) -> None:
        """Called once after the module is built, of a resumed run too, with all images that there are."""

    def begin_from(self, earlier: Mapping[str, Tensor], config: NetworkConfig) -> None:
        """Called once after those weights of an earlier model were taken that fit, with all of them.

        ``config`` is that of the earlier network.
        """

    def prepare(self, training: ImageSet, validation: ImageSet) -> None:
        """Called once before the first step, of a resumed run too, with the images that there are."""

    @abstractmethod
    def complete(self, images: ImageSet, limit: int | None = None) -> None:
        """Fit what is not learned by gradients on ``average``, from at most ``limit`` images."""

    @abstractmethod
    def measure(self, images: ImageSet, kind: str) -> Mapping[str, Metric]:
        """Figures of ``average`` on images; ``kind`` says which they are ("validation images")."""

    @abstractmethod
    def preview(self) -> Image.Image:
        """A picture of what ``average`` has learnt, once ``complete`` has been called."""

    def warnings(self, metrics: Mapping[str, Metric]) -> list[str]:
        """What the user should know of these figures before the model is used."""
        return []

    def compile_networks(self) -> None:
        """Have what the steps call compiled when it is called; asked only of ``CompiledRecipe``."""

    def learnt(self) -> list[nn.Parameter]:
        """The weights that the optimisers move: those of the network, and of others that help to train it."""
        return [weight for weight in self.network.parameters() if weight.requires_grad]

    def watch(self, images: ImageSet) -> Mapping[str, float]:
        """Figures of ``average`` on validation images that are worth a curve: cheap ones, asked now and then.

        Called after ``complete``. A family that has none has no curves.
        """
        return {}

    def training_step(self, batch: TrainingBatch, _: int) -> Tensor:
        loss, figures = self.loss(batch.floats, batch.labels, batch.position)
        self.figures = {name: value.detach() for name, value in {"loss": loss, **figures}.items()}
        return loss

    def configure_optimizers(self) -> Any:
        """One optimiser, or a list of them where the family steps by itself (``automatic_optimization``).

        The learning rate of each group is that of the schedule, times the group's ``rate_factor`` if it has
        one.
        """
        return torch.optim.AdamW(
            self.learnt(),
            lr=self.recipe.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=self.recipe.weight_decay,
            # The fused step would unscale float16 gradients only after they are clipped.
            fused=self.recipe.precision != "16",
        )

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        nn.utils.clip_grad_norm_(weights, _MOST_GRADIENT_NORM)

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine to a fiftieth of the peak."""
        rise = min(1.0, (self.progress + 1e-4) / max(self.recipe.warmup, 1e-4))
        fall = 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * self.progress))
        return self.recipe.learning_rate * rise * fall

    @torch.no_grad()
    def update_average(self, images_seen: int, batch_size: int) -> None:
        """Move the average towards the weights, with a half-life that grows with the run.

        It is a share of the images seen so far, up to a cap (Karras et al., arXiv 2206.00364, appendix F.1),
        so that short runs are not averaged with their beginning.
        """
        half_life = min(self.recipe.ema_cap, self.recipe.ema_share * images_seen)
        keep = 0.5 ** (batch_size / max(half_life, 1e-8))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1.0 - keep)
        for old, new in zip(self.average.buffers(), self.network.buffers(), strict=True):
            old.copy_(new)

    def go_back(self, weights: Mapping[str, Tensor]) -> None:
        """Give ``average`` the weights that it had earlier in the run, to be published."""
        self.average.load_state_dict(weights)

    def is_finite(self) -> bool:
        """Whether every weight is finite."""
        return all(bool(torch.isfinite(weight).all()) for weight in self.learnt())

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs of the networks and optimisers."""
        optimisers = self.optimizers()
        optimisers = optimisers if isinstance(optimisers, list) else [optimisers]
        return {
            "module": self.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in optimisers],
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take the networks' part of ``state`` back; RuntimeError where it does not fit."""
        self.load_state_dict(saved["module"])

    def autocast(self) -> torch.autocast:
        """Within, the network computes in the recipe's precision."""
        dtype = DTYPES[cast(Precision, self.recipe.precision)]
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not torch.float32)


class OtherWay(NamedTuple):
    """Of making samples: by other than the default parameters.

    ``remedy``: what helps where they are worse.
    """

    parameters: Mapping[str, float | str]
    remedy: str


class GeneratorModule(FamilyModule):
    """A generator in training; its picture is a grid of samples."""

    def other_ways(self) -> Mapping[str, OtherWay]:
        """Those that are measured besides the default one, by the name of their figure."""
        return {}

    def preview(self) -> Image.Image:
        return preview(self)
