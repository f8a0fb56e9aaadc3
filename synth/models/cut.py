"""Contrastive unpaired translation, CUT: one generator, from one domain to another.

Park et al., "Contrastive learning for unpaired image-to-image translation" (arXiv 2007.15651). What it is
trained with besides (the judge and the projections) is no part of the model.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from synth.models.program import ImageShape, NetworkConfig, NoiseSpec, Parameter, State, Values
from synth.models.translation import STRENGTH, blend, generator_of, zoom_of, zoomed


class Cut(nn.Module):
    """Images [N, C, H, W] of the first domain to images of the second, in [-1, 1].

    ``config`` holds ``width``, ``downs`` and ``blocks`` (see ``ResidualGenerator``) and ``grey``: of the two
    domains, which are grey though the images have three channels. With ``zoom`` images are first enlarged by
    so much about their centre, down and across. It knows no classes.
    """

    def __init__(self, config: NetworkConfig, image: ImageShape, classes: int) -> None:
        super().__init__()
        self.image = image
        self.zoom = zoom_of(config)
        self.generator = generator_of(config, image, grey=bool(config["grey"][1]))

    def forward(self, images: Tensor) -> Tensor:
        translated: Tensor = self.generator(self.framed(images))
        return translated

    def framed(self, images: Tensor) -> Tensor:
        """Images as the generator takes them: with contents as large as in the second domain."""
        return zoomed(images, self.zoom)


class CutProgram:
    """Translates in one step; there is nothing random in it."""

    noise: tuple[NoiseSpec, ...] = ()
    parameters: tuple[Parameter, ...] = (STRENGTH,)

    def __init__(self, network: Cut) -> None:
        self.network = network
        if network.zoom == (1.0, 1.0):  # else a place depends on its distance from the centre
            self.multiple, self.context = network.generator.multiple, network.generator.context

    def steps(self, parameters: Values) -> int:
        return 1

    def begin_from(
        self, images: Tensor, noise: Mapping[str, Tensor], labels: Tensor | None, parameters: Values
    ) -> State:
        return {"given": images}

    def step(self, i: int, state: State, labels: Tensor | None, parameters: Values) -> State:
        given = state["given"]
        return {"image": blend(given, self.network(given), parameters["strength"])}

    def image(self, state: State) -> Tensor:
        return state["image"].clamp(-1.0, 1.0)
