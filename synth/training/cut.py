"""Training of the ``cut`` family: one way between two domains, held to its content by contrast.

Park et al. (arXiv 2007.15651). The defaults are those of FastCUT, which is conservative: a strong weight of
PatchNCE and no identity term. Mirrored inputs, which FastCUT has besides, are an option: mirrored letters and
digits are none. The maps of real images come out of the pass that translates them, and are not computed
twice; the projections are made up front, so that a resumed run, and each of several processes, has the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn

from synth.models.cut import Cut
from synth.models.program import ImageShape
from synth.randomness import stream_id, uniforms
from synth.training.adversarial import verdict
from synth.training.contrast import Projection, patch_nce, places, rows_at
from synth.training.unpaired import UnpairedModule, UnpairedRecipe

_PLACES, _FLIPS = stream_id("training/cut/places"), stream_id("training/cut/flips")
_REAL, _FAKE, _OLD = (stream_id(f"training/cut/{kind}") for kind in ("real", "fake", "old"))


class CutRecipe(UnpairedRecipe):
    """Recipe of a translator of one way."""

    nce: float = Field(
        10.0,
        ge=0,
        description="Weight of PatchNCE: 10 keeps content; CUT's own setting is 1, with identity_nce.",
    )
    identity_nce: bool = Field(
        False, description="PatchNCE also between images of the target and what is made of them."
    )
    temperature: float = Field(0.07, gt=0, description="Of PatchNCE.")
    patches: int = Field(
        64, ge=2, le=4096, description="Places of each map that are compared; 256 in the paper."
    )
    flip_equivariance: bool = Field(
        False, description="Mirror every other image; only where a mirrored image is one of the domain, too."
    )


class CutModule(UnpairedModule):
    """Lightning module of the ``cut`` family."""

    family = "cut"
    recipe: CutRecipe

    def __init__(self, recipe: CutRecipe, image: ImageShape, classes: int) -> None:
        super().__init__(recipe, image, classes)
        generator = cast(Cut, self.network).generator
        # The image of full size, every halving, and the blocks at the end of the first and the second third.
        downs, blocks = len(generator.downs), len(generator.blocks)
        self._compared = sorted({*range(downs + 1), downs + -(-blocks // 3), downs + -(-2 * blocks // 3)})
        self.judge = self.new_judge()
        self.projection = Projection([generator.widths[number] for number in self._compared])
        for network in (self.network, self.average, self.judge):
            network.to(memory_format=torch.channels_last)

    def helpers(self) -> list[nn.Parameter]:
        return [*self.judge.parameters(), *self.projection.parameters()]

    @property
    def rows(self) -> Sequence[str]:
        return ("A", "A -> B", "B")

    def picture(self, source: Tensor, target: Tensor) -> Sequence[Tensor]:
        return source, self.translate(source), target

    def loss(
        self, images: Tensor, labels: Tensor | None, position: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """E[(D(G(a)) - 1)^2] + nce PatchNCE(a, G(a)) of the generator and the projections, with the identity
        term half of PatchNCE(a, G(a)) + PatchNCE(b, G(b)); and of the judge half of
        E[(D(b) - 1)^2] + E[D(G(a))^2]."""
        a, b = images.contiguous(memory_format=torch.channels_last).chunk(2)
        network = cast(Cut, self.network)
        generator, a = network.generator, network.framed(a)
        flipped = self._flipped(position)
        shown = _mirrored(a, flipped)
        given = torch.cat([shown, b]) if self.recipe.identity_nce else shown
        made, maps = generator.translate(given)
        nce = self._contrast(given, made, maps, flipped, a, position)
        fake = made[: len(a)]
        augmented = self.augmentation(position)
        judged = verdict(
            self.judge,
            augmented.of(b, _REAL),
            augmented.of(fake, _FAKE),
            augmented.of(fake.detach(), _OLD),
        )
        loss = judged.generator + judged.judge + self.recipe.nce * nce
        return loss, {"fooled": judged.generator, "judged": judged.judge, "nce": nce}

    def _contrast(
        self,
        given: Tensor,
        made: Tensor,
        maps: Sequence[Tensor],
        flipped: Tensor | None,
        upright: Tensor,
        position: Tensor,
    ) -> Tensor:
        """PatchNCE, the mean over the compared maps, of what was made with what it was made from."""
        generator = cast(Cut, self.network).generator
        until = self._compared[-1]
        queries = [generator.encode(made, until)[number] for number in self._compared]
        keys = [maps[number].detach() for number in self._compared]
        if flipped is not None:
            # A mirrored image is to become the mirrored translation: both are compared the right way round.
            queries = [_mirrored(each, flipped) for each in queries]
            with torch.no_grad():
                own = generator.encode(upright, until)
            keys = [
                torch.cat([own[number], key[len(upright) :]])
                for number, key in zip(self._compared, keys, strict=True)
            ]
        where = places(
            keys, self.recipe.patches, seed=self.recipe.seed, position=int(position[0]), stream=_PLACES
        )
        with torch.no_grad():
            fixed = self.projection(rows_at(keys, where))
        moving = self.projection(rows_at(queries, where))
        losses = [
            patch_nce(query, key, self.recipe.temperature) for query, key in zip(moving, fixed, strict=True)
        ]
        return torch.stack(losses).mean()

    def _flipped(self, position: Tensor) -> Tensor | None:
        if not self.recipe.flip_equivariance:
            return None
        return uniforms(self.recipe.seed, position, _FLIPS, 1)[:, 0] < 0.5


def _mirrored(x: Tensor, flipped: Tensor | None) -> Tensor:
    """The first rows of ``x`` mirrored where ``flipped`` says so; the rest, if there is any, as it is."""
    if flipped is None:
        return x
    first = x[: len(flipped)]
    turned = torch.where(flipped[:, None, None, None], first.flip(3), first)
    return torch.cat([turned, x[len(flipped) :]])
