"""Training of the ``style`` family.

A predictor and a transfer network learn together, from content images and a collection of style images, to
redraw any of the former in the style of any of the latter (Ghiasi et al., arXiv 1705.06830). Some images
are also redrawn in the style of a varied copy of themselves, which has to give that copy. Afterwards a normal
distribution is fitted to the embeddings of the collection, from which random styles are drawn (Jackson et
al., arXiv 1809.05375), its covariance shrunk as far as few pictures ask for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor

from synth.artifacts import Metric
from synth.data import ImageSet
from synth.errors import NonFiniteError
from synth.models.program import ImageShape, NetworkConfig
from synth.models.style import StyleNetwork, StyleProgram
from synth.randomness import normals, stream_id
from synth.training.normal import fit_normal
from synth.training.parts import Domains
from synth.training.style_images import style_pieces, varied
from synth.training.style_judge import preserved
from synth.training.style_losses import drawn_from, pallor
from synth.training.style_perception import Perception
from synth.training.style_pictures import ROWS, pictures_of
from synth.training.style_recipe import StyleRecipe
from synth.training.translator import TranslatorModule
from synth.training.yardstick import AnyYardstick

_STYLES, _CHECKED = stream_id("training/style/pieces"), stream_id("training/style/checked")
_DRAWN = stream_id("training/style/drawn")
_COPIES, _FITTED = stream_id("training/style/copies"), stream_id("training/style/fitted")
_SMALL = 48
"""Images of a shorter side are halved once less: what is small has little to lose."""
_PIECES, _FEW_PIECES, _CHUNK = 4_000, 500, 100
"""Pieces of the collection that the distribution is fitted to, at the end and on the way."""
_LESSONS, _LESSONS_SHARE = 20_000, 0.2
"""Images that ``features=trained`` is taught with: so many, or this share of a shorter training."""
_CALIBRATED = 128
_LEAST_DIVERSITY = 0.03
_RANDOM_SHARE = 0.4
"""Of the images of a step: redrawn in random styles."""


class StyleModule(TranslatorModule):
    """Lightning module of the ``style`` family."""

    family = "style"
    recipe: StyleRecipe

    def __init__(self, recipe: StyleRecipe, image: ImageShape, classes: int) -> None:
        super().__init__(recipe, image, classes)
        for network in (self.network, self.average):
            network.to(memory_format=torch.channels_last)
        self.perception = Perception(recipe.features, image, recipe.content)
        self.shrinkage = 0.0

    def network_config(self) -> NetworkConfig:
        config = self.recipe.model_dump(mode="json", include={"predictor", "widths", "blocks", "embedding"})
        small = min(self.image.height, self.image.width) < _SMALL
        if small and not self.recipe.is_chosen("widths") and len(config["widths"]) > 2:
            config["widths"] = config["widths"][:-1]
        return config

    def meet(self, domains: Domains) -> None:
        super().meet(domains)
        assert domains.target is not None
        self._content, self._collection = domains.source.training, domains.target.training
        self._unseen = domains.target.validation

    def prepare(self, training: ImageSet, validation: ImageSet) -> None:
        """Teach the features, if they are to be, and find the units of their maps."""
        position = torch.arange(_CALIBRATED, device=self.device)
        wanted = self.recipe.images_seen
        lessons = _LESSONS if wanted is None else min(_LESSONS, int(_LESSONS_SHARE * wanted))
        pieces = self._pieces(self._collection, position, _CHECKED)
        self.perception.learn(self._content, self._collection, pieces, seed=self.recipe.seed, lessons=lessons)

    def loss(
        self, images: Tensor, labels: Tensor | None, position: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted sum of three terms: ``content``, ``style``, and ``copy``.

        The last is of images redrawn in the style of a varied copy of themselves, which has to give that
        copy: there the right answer is known to the pixel. It is what ties strength 0 to the image itself,
        and teaches that bright on dark may have to become dark on bright.
        """
        recipe, again = self.recipe, round(self.recipe.copy_share * len(images))
        styles = self._pieces(self._collection, position, _STYLES)
        copies = varied(
            images[:again], recipe.vary, seed=recipe.seed, position=position[:again], stream=_COPIES
        )
        random = round(_RANDOM_SHARE * len(images))
        draws = normals(recipe.seed, position[len(images) - random :], _DRAWN, len(images) + again)
        network = cast(StyleNetwork, self.network)
        terms = self._terms(network, images, styles, copies, draws if random else None)
        figures = {name: term.mean() for name, term in terms.items()}
        return self.weighed(figures), figures

    def weighed(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The loss, of terms by name that have one shape."""
        recipe = self.recipe
        weights = {"content": recipe.content_weight, "style": recipe.style_weight, "copy": recipe.copy_weight}
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum(dim=0)

    def _terms(
        self,
        network: StyleNetwork,
        content: Tensor,
        styles: Tensor,
        copies: Tensor,
        random: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """By name, float32 with a row for each image; ``copies`` are of the first images.

        ``random``, float [M, N + copies], are the draws of the last images' styles, which come from the
        normal distribution of all others' and not from ``styles``: what random styles make is seen to, too.
        """
        count = len(content)
        embeddings = network.predictor(_arranged(torch.cat([styles, copies])))
        if random is not None:
            embeddings = torch.cat(
                [embeddings[: count - len(random)], drawn_from(embeddings, random), embeddings[count:]]
            )
        made = network(_arranged(torch.cat([content, content[: len(copies)]])), embeddings).float()
        terms = dict(self.perception.terms(made[:count], content, styles))
        terms["content"] = terms["content"] + pallor(made[:count], content)
        if random is not None:  # there is no picture with that style
            terms["style"] = terms["style"][: count - len(random)]
        if len(copies):
            terms["copy"] = (made[count:] - copies).abs().mean(dim=(1, 2, 3))
        return terms

    @torch.no_grad()
    def checked(self, images: Tensor, position: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Terms of the loss of ``average``, float32 [N] on the CPU, and the distance of styles before.

        Of fixed pairs: uint8 [N, C, H, W], each with a piece of a style image that is not trained on.
        """
        content = images.to(self.device).to(torch.float32) / 127.5 - 1.0
        styles = self._pieces(self._unseen, position.to(self.device), _CHECKED)
        with self.autocast():
            terms = self._terms(cast(StyleNetwork, self.average), content, styles, content)
        before = self.perception.terms(content, content, styles)["style"]
        return {name: term.cpu() for name, term in terms.items()}, before.cpu()

    @torch.no_grad()
    def complete(self, images: ImageSet, limit: int | None = None) -> None:
        """Fit the distribution of styles to embeddings of pieces of the collection, and of the content."""
        average, count = cast(StyleNetwork, self.average), _PIECES if limit is None else _FEW_PIECES
        own = round(self.recipe.own_styles * count)
        found = []
        for pictures, many in ((self._collection, count - own), (self._content, own)):
            for position in torch.split(torch.arange(many, device=self.device), _CHUNK):
                pieces = self._pieces(pictures, position, _FITTED)
                with self.autocast():
                    found.append(average.predictor(_arranged(pieces)).cpu())
        embeddings = torch.cat(found)
        if not bool(embeddings.isfinite().all()):
            raise NonFiniteError(
                "The embeddings of styles became NaN or infinite: train again with a lower "
                "--set learning_rate=..., or with --precision 32."
            )
        mean, factor, self.shrinkage = fit_normal(embeddings)
        average.distribution.mean.copy_(mean)
        average.distribution.factor.copy_(factor)

    def measure(self, images: ImageSet, kind: str) -> Mapping[str, Metric]:
        kept = preserved(
            lambda pixels, start: self.translate(pixels, start=start),
            self._content,
            images,
            recipe=self.recipe,
            device=self.device,
            kind=kind,
        )
        how = "of the covariance of styles towards a round one (Ledoit and Wolf): 0 is not at all"
        return {**kept, "style_shrinkage": Metric(value=self.shrinkage, how=how)}

    def yardstick(self, domains: Domains, device: torch.device) -> AnyYardstick:
        from synth.training.style_yardstick import StyleYardstick

        return StyleYardstick(domains)

    def warnings(self, metrics: Mapping[str, Metric]) -> list[str]:
        diversity = metrics["style_diversity"].value
        if diversity is None or diversity >= _LEAST_DIVERSITY:
            return []
        return [
            f"Random styles look much alike (style_diversity {diversity:.3f}): train longer, with a larger "
            "--set style_weight=..., or with more and more different pictures in --target."
        ]

    @property
    def rows(self) -> Sequence[str]:
        return ROWS

    @torch.no_grad()
    def picture(self, source: Tensor, target: Tensor) -> Sequence[Tensor]:
        content = source.to(self.device).to(torch.float32) / 127.5 - 1.0
        position = torch.arange(len(content), device=self.device)
        styles = self._pieces(self._unseen, position, _CHECKED)
        with self.autocast():
            return pictures_of(StyleProgram(cast(StyleNetwork, self.average)), content, styles)

    def _pieces(self, collection: ImageSet, position: Tensor, stream: int) -> Tensor:
        size, recipe = (self.image.height, self.image.width), self.recipe
        return style_pieces(
            collection.images, size, recipe.vary, seed=recipe.seed, position=position, stream=stream
        )


def _arranged(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)
