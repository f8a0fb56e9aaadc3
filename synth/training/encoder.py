"""Training of the ``encoder`` family: features without labels, from the user's own images.

The main objectives compare two random views of each image (``synth.training.objectives``); the pretext tasks
``rotation`` and ``jigsaw`` ask what was done to it. The head that an objective needs is trained along and
thrown away, as in SimCLR. Labels, where there are some, only tell how good the features are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import torch
from PIL import Image
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from synth.artifacts import Metric
from synth.data import ImageSet
from synth.data.grid import grid
from synth.data.pretext import ROTATIONS, permutations, rotate, shuffle, square
from synth.errors import NonFiniteError
from synth.evaluation.neighbours import knn_accuracy, nearest
from synth.models.encoder import Encoder
from synth.models.program import ImageShape, NetworkConfig
from synth.randomness import stream_id, uniforms
from synth.training.collapse import Spread, spread_of
from synth.training.module import FamilyModule
from synth.training.objectives import barlow, simclr, vicreg
from synth.training.recipe import Recipe
from synth.training.views import Views, random_view

_TASK = stream_id("training/pretext")
_CHUNK = 500
_BANK = 20_000
"""Most training images that features are whitened, and neighbours looked for, on."""
_NEIGHBOURS = 20
_COLUMNS, _ROWS = 10, 8
_VARIANCE_FLOOR = 1e-3


class EncoderRecipe(Recipe, Views):
    """Recipe of a self-supervised encoder."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {"stem": 32, "widths": [32, 64, 128], "blocks": 1},
        "small": {"stem": 32, "widths": [64, 128, 256], "blocks": 1},
        "base": {"stem": 64, "widths": [64, 128, 256, 512], "blocks": 2},
        "large": {"stem": 64, "widths": [128, 256, 512, 512], "blocks": 3},
    }

    objective: Literal["simclr", "barlow", "vicreg", "rotation", "jigsaw"] = Field(
        "simclr", description="What is learnt from: two views of each image, or what was done to it."
    )
    stem: int = Field(32, ge=4, le=1024, description="Channels at full size.")
    widths: list[int] = Field(
        default_factory=list, description="Channels at 1/2, 1/4, ... of the size. Default: by preset."
    )
    blocks: int = Field(1, ge=1, le=16, description="Residual blocks at each of these.")
    projection: int = Field(128, ge=2, le=8192, description="Dimensions in which views are compared.")
    temperature: float = Field(0.2, gt=0, le=10, description="simclr: lower minds near images more.")
    grid: Literal[2, 3] = Field(2, description="jigsaw: pieces a side.")
    whitening: float = Field(
        1.0, ge=0, le=1, description="How far loud directions of the features are turned down; 1: to equal."
    )
    batch_size: int = Field(256, ge=2, description="Images per step.")

    @model_validator(mode="after")
    def _check_widths(self) -> EncoderRecipe:
        if not 1 <= len(self.widths) <= 8 or min(self.widths) < 4 or max(self.widths) > 4096:
            raise ValueError(f"widths must be 1 to 8 numbers of channels from 4 to 4096, not {self.widths}")
        return self


class EncoderModule(FamilyModule):
    """Lightning module of the ``encoder`` family."""

    family = "encoder"
    recipe: EncoderRecipe

    def __init__(self, recipe: EncoderRecipe, image: ImageShape, classes: int) -> None:
        super().__init__(recipe, image, classes)
        dimensions = cast(Encoder, self.network).dimensions
        self.head = _head(recipe, dimensions)
        for network in (self.network, self.average):
            network.to(memory_format=torch.channels_last)
        self._bank = _Bank.empty()

    def network_config(self) -> NetworkConfig:
        return self.recipe.model_dump(mode="json", include={"stem", "widths", "blocks"})

    def learnt(self) -> list[nn.Parameter]:
        return [*super().learnt(), *self.head.parameters()]

    def loss(
        self, images: Tensor, labels: Tensor | None, position: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of the objective; ``labels`` are not looked at."""
        if self.recipe.objective in ("rotation", "jigsaw"):
            return self._pretext_loss(images, position)
        views = [
            random_view(images, self.recipe, seed=self.recipe.seed, position=position, view=view)
            for view in (0, 1)
        ]
        first, second = self.head(self._features(torch.cat(views))).float().chunk(2)
        if self.recipe.objective == "simclr":
            loss = simclr(first, second, self.recipe.temperature)
        else:
            loss = {"barlow": barlow, "vicreg": vicreg}[self.recipe.objective](first, second)
        agreement = F.cosine_similarity(first, second).mean()
        return loss, {"agreement": agreement}

    def _pretext_loss(self, images: Tensor, position: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of what was done to a view of each image: a quarter turn, or an order of pieces."""
        view = random_view(images, self.recipe, seed=self.recipe.seed, position=position, view=0)
        draw = uniforms(self.recipe.seed, position, _TASK, 1)[:, 0]
        if self.recipe.objective == "rotation":
            done = (draw * len(ROTATIONS)).long()
            changed = rotate(square(view), done)
        else:
            orders = permutations(self.recipe.grid).to(view.device)
            done = (draw * len(orders)).long()
            changed = shuffle(view, orders[done], self.recipe.grid)
        logits = self.head(self._features(changed)).float()
        return F.cross_entropy(logits, done), {"right": (logits.argmax(dim=1) == done).float().mean()}

    def _features(self, images: Tensor) -> Tensor:
        network = cast(Encoder, self.network)
        return network.pooled(images.contiguous(memory_format=torch.channels_last))

    @torch.no_grad()
    def complete(self, images: ImageSet, limit: int | None = None) -> None:
        """Give ``average`` the statistics of its own maps on real images, and fit the whitening."""
        chosen = images.sample(_BANK if limit is None else limit)
        average = cast(Encoder, self.average)
        self._settle_norms(average, chosen)
        pooled = self._pooled(chosen)
        if not bool(pooled.isfinite().all()):
            raise NonFiniteError(
                "The encoder's features became NaN or infinite: train again with a lower "
                "--set learning_rate=..., or with --precision 32."
            )
        average.whitening.cpu().fit(pooled, self.recipe.whitening, _VARIANCE_FLOOR)
        average.whitening.to(self.device)
        self._bank = _Bank(chosen, self._whitened(pooled), spread_of(pooled))

    def measure(self, images: ImageSet, kind: str) -> Mapping[str, Metric]:
        spread, bank = self._bank.spread, self._bank
        how = f"{len(bank.images)} training images, averaged weights"
        return {
            "knn_accuracy": self._knn(images, kind),
            "effective_rank": Metric(
                value=spread.effective_rank,
                how=f"of {bank.features.shape[1]}: exponential of the entropy of their spectrum; {how}",
            ),
            "feature_spread": Metric(
                value=spread.relative, how=f"standard deviation of features over their length; {how}"
            ),
        }

    def watch(self, images: ImageSet) -> Mapping[str, float]:
        accuracy = self._knn(images, "validation images").value
        figures = {"effective_rank": self._bank.spread.effective_rank}
        return figures if accuracy is None else {**figures, "knn_accuracy": accuracy}

    def _knn(self, images: ImageSet, kind: str) -> Metric:
        bank = self._bank
        if images.labels is None or bank.images.labels is None:
            return Metric(value=None, how="not measured: the images have no labels")
        if set(images.ids) & set(bank.images.ids):
            return Metric(value=None, how=f"not measured: there are only {kind}")
        accuracy = knn_accuracy(
            self._whitened(self._pooled(images)),
            images.labels,
            bank.features,
            bank.images.labels,
            neighbours=_NEIGHBOURS,
        )
        return Metric(
            value=accuracy,
            how=f"weighted vote of the {_NEIGHBOURS} nearest of {len(bank.images)} training images, whose "
            f"labels were not trained on; {len(images)} {kind}, averaged weights",
        )

    def warnings(self, metrics: Mapping[str, Metric]) -> list[str]:
        problem = self._bank.spread.problem
        return [] if problem is None else [problem]

    def preview(self) -> Image.Image:
        """Images spread over the training set, each at the head of a row of its nearest neighbours."""
        bank = self._bank
        rows = min(_ROWS, len(bank.images))
        heads = torch.arange(rows) * len(bank.images) // max(rows, 1)
        columns = min(_COLUMNS, len(bank.images))
        _, found = nearest(bank.features[heads], bank.features, columns)
        # With equal images about, the first found may be another one than the image itself.
        found = torch.cat([heads[:, None], _without(found, heads)[:, : columns - 1]], dim=1)
        return grid(bank.images.images[found.flatten()], columns)

    def _settle_norms(self, network: Encoder, images: ImageSet) -> None:
        """Means and variances for the averaged weights: those of the last weights do not fit them."""
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average over all batches
        network.train()
        self._pooled(images, training=True)
        network.eval()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    @torch.no_grad()
    def _pooled(self, images: ImageSet, training: bool = False) -> Tensor:
        """float32 [N, D] on the CPU, of ``average`` and before whitening."""
        network = cast(Encoder, self.average)
        network.train(training)
        parts = []
        for chunk in torch.arange(len(images)).chunk(max(1, len(images) // _CHUNK)):
            real = images.images[chunk].to(self.device).to(torch.float32) / 127.5 - 1.0
            with self.autocast():
                parts.append(network.pooled(real.contiguous(memory_format=torch.channels_last)).cpu())
        return torch.cat(parts)

    @torch.no_grad()
    def _whitened(self, pooled: Tensor) -> Tensor:
        whitened: Tensor = cast(Encoder, self.average).whitening(pooled.to(self.device)).cpu()
        return whitened


@dataclass(frozen=True)
class _Bank:
    """Training images with their features, to find neighbours among, and how the latter are spread."""

    images: ImageSet
    features: Tensor
    spread: Spread

    @staticmethod
    def empty() -> _Bank:
        nothing = ImageSet(torch.empty(0, 1, 1, 1, dtype=torch.uint8), None, (), None)
        return _Bank(nothing, torch.empty(0, 0), Spread(0.0, 0.0))


def _head(recipe: EncoderRecipe, dimensions: int) -> nn.Module:
    """What turns features into that which the objective compares, or into the classes of a pretext task."""
    if recipe.objective == "rotation":
        return nn.Linear(dimensions, len(ROTATIONS))
    if recipe.objective == "jigsaw":
        return nn.Linear(dimensions, len(permutations(recipe.grid)))
    hidden = 2 * max(dimensions, recipe.projection)
    return nn.Sequential(
        nn.Linear(dimensions, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, recipe.projection),
    )


def _without(found: Tensor, heads: Tensor) -> Tensor:
    """Rows of neighbours without their own image, which is put last where it is among them."""
    own = found == heads[:, None]
    order = torch.argsort(own.to(torch.int8), dim=1, stable=True)
    return found.gather(1, order)
