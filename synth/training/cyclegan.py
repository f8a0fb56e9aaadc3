"""Training of the ``cyclegan`` family: both ways between two domains, judged, and undone by each other.

Zhu et al. (arXiv 1703.10593). A step runs each generator twice and each judge twice, with one backward pass
for all networks: images to translate and images to leave as they are go through a generator together, as do
real and earlier generated images through a judge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from synth.models.cyclegan import DIRECTIONS, CycleGAN
from synth.models.program import ImageShape
from synth.randomness import stream_id
from synth.training.adversarial import Pool, Verdict, verdict
from synth.training.unpaired import UnpairedModule, UnpairedRecipe


class CycleGANRecipe(UnpairedRecipe):
    """Recipe of a translator of both ways."""

    cycle: float = Field(
        10.0, ge=0, description="Weight of the way there and back, which is to change nothing."
    )
    identity: float = Field(
        5.0, ge=0, description="Weight of images that are of the wanted domain already, which are to stay."
    )
    identity_share: float = Field(
        0.5, ge=0, le=1, description="Share of each batch that goes through the wrong generator for that."
    )
    pool: int = Field(
        64, ge=0, le=1024, description="Earlier generated images that judges see again; 0: none."
    )


class CycleGANModule(UnpairedModule):
    """Lightning module of the ``cyclegan`` family: ``network`` holds both generators."""

    family = "cyclegan"
    recipe: CycleGANRecipe
    directions: ClassVar[tuple[str, ...]] = DIRECTIONS

    def __init__(self, recipe: CycleGANRecipe, image: ImageShape, classes: int) -> None:
        super().__init__(recipe, image, classes)
        shape = image.channels, image.height, image.width
        self.judge_a, self.judge_b = self.new_judge(), self.new_judge()
        self.pool_a, self.pool_b = Pool(recipe.pool, shape), Pool(recipe.pool, shape)
        for network in (self.network, self.average, self.judge_a, self.judge_b):
            network.to(memory_format=torch.channels_last)

    def helpers(self) -> list[nn.Parameter]:
        return [*self.judge_a.parameters(), *self.judge_b.parameters()]

    @property
    def rows(self) -> Sequence[str]:
        return ("A", "A -> B", "A -> B -> A", "B", "B -> A", "B -> A -> B")

    def picture(self, source: Tensor, target: Tensor) -> Sequence[Tensor]:
        there, back = self.translate(source, "a_to_b"), self.translate(target, "b_to_a")
        return (
            source, there, self.translate(there, "b_to_a"), target, back, self.translate(back, "a_to_b")
        )  # fmt: skip

    def loss(
        self, images: Tensor, labels: Tensor | None, position: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Of generators: E[(D(G(a)) - 1)^2] + cycle |F(G(a)) - a| + identity |G(b) - b|, and the same the
        other way round; of judges: half of E[(D(b) - 1)^2] + E[D(G(a))^2]. All in one sum."""
        a, b = images.contiguous(memory_format=torch.channels_last).chunk(2)
        network = cast(CycleGAN, self.network)
        some = math.ceil(self.recipe.identity_share * len(a)) if self.recipe.identity else 0
        fake_b, same_b = _both(network.a_to_b, network.framed(a, "a_to_b"), b[:some])
        fake_a, same_a = _both(network.b_to_a, network.framed(b, "b_to_a"), a[:some])
        back_a, back_b = network(fake_b, "b_to_a"), network(fake_a, "a_to_b")
        cycle = F.l1_loss(back_a, a) + F.l1_loss(back_b, b)
        at_a = self._judged("a", a, fake_a, position)
        at_b = self._judged("b", b, fake_b, position)
        fooled, judged = at_a.generator + at_b.generator, at_a.judge + at_b.judge
        loss = fooled + judged + self.recipe.cycle * cycle
        figures = {"fooled": fooled, "judged": judged, "cycle": cycle}
        if some:
            figures["identity"] = F.l1_loss(same_a, a[:some]) + F.l1_loss(same_b, b[:some])
            loss = loss + self.recipe.identity * figures["identity"]
        return loss, figures

    def _judged(self, domain: str, real: Tensor, fake: Tensor, position: Tensor) -> Verdict:
        judge, pool = (getattr(self, f"{part}_{domain}") for part in ("judge", "pool"))
        stream = {
            kind: stream_id(f"training/cyclegan/{domain}/{kind}") for kind in ("real", "fake", "old", "pool")
        }
        augmented = self.augmentation(position)
        old = fake.detach()
        if len(cast(Pool, pool).images):
            old = pool.exchange(old, seed=self.recipe.seed, position=position, stream=stream["pool"])
        return verdict(
            judge,
            augmented.of(real, stream["real"]),
            augmented.of(fake, stream["fake"]),
            augmented.of(old, stream["old"]),
        )


def _both(generator: nn.Module, moved: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """What a generator makes of images of two kinds, in one pass."""
    if not len(kept):
        return generator(moved), kept
    made = generator(torch.cat([moved, kept]))
    return made[: len(moved)], made[len(moved) :]
