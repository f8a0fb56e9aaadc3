"""CycleGAN: two generators, from one domain to another and back.

Zhu et al., "Unpaired image-to-image translation using cycle-consistent adversarial networks" (arXiv
1703.10593). One model holds both ways; which one is taken is a parameter of each request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

from torch import Tensor, nn

from synth.models.program import (
    AnyParameter,
    ImageShape,
    NetworkConfig,
    NoiseSpec,
    State,
    TextParameter,
    Values,
)
from synth.models.translation import STRENGTH, ResidualGenerator, blend, generator_of, zoom_of, zoomed

Direction = Literal["a_to_b", "b_to_a"]
DIRECTIONS: tuple[Direction, ...] = ("a_to_b", "b_to_a")


class CycleGAN(nn.Module):
    """Images [N, C, H, W] of either domain to images of the other one, in [-1, 1].

    ``config`` holds ``width``, ``downs`` and ``blocks`` (see ``ResidualGenerator``) and ``grey``: of the two
    domains, which are grey though the images have three channels. With ``zoom`` images of the first domain
    are first enlarged by so much about their centre, down and across, and those of the second made smaller.
    It knows no classes.
    """

    def __init__(self, config: NetworkConfig, image: ImageShape, classes: int) -> None:
        super().__init__()
        self.image = image
        self.zoom = zoom_of(config)
        self.a_to_b = generator_of(config, image, grey=bool(config["grey"][1]))
        self.b_to_a = generator_of(config, image, grey=bool(config["grey"][0]))

    def way(self, direction: str) -> ResidualGenerator:
        """The generator of a direction."""
        return cast(ResidualGenerator, getattr(self, direction))

    def forward(self, images: Tensor, direction: str = "a_to_b") -> Tensor:
        translated: Tensor = self.way(direction)(self.framed(images, direction))
        return translated

    def framed(self, images: Tensor, direction: str) -> Tensor:
        """Images as a generator takes them: with contents as large as in the other domain."""
        down, across = self.zoom
        return zoomed(images, self.zoom if direction == "a_to_b" else (1.0 / down, 1.0 / across))


class CycleGANProgram:
    """Translates in one step; there is nothing random in it."""

    noise: tuple[NoiseSpec, ...] = ()
    parameters: tuple[AnyParameter, ...] = (
        STRENGTH,
        TextParameter(
            "direction", "a_to_b", "from the domain of --data to that of --target, or back", DIRECTIONS
        ),
    )

    def __init__(self, network: CycleGAN) -> None:
        self.network = network
        if network.zoom == (1.0, 1.0):  # else a place depends on its distance from the centre
            self.multiple, self.context = network.a_to_b.multiple, network.a_to_b.context

    def steps(self, parameters: Values) -> int:
        return 1

    def begin_from(
        self, images: Tensor, noise: Mapping[str, Tensor], labels: Tensor | None, parameters: Values
    ) -> State:
        return {"given": images}

    def step(self, i: int, state: State, labels: Tensor | None, parameters: Values) -> State:
        given = state["given"]
        translated = self.network(given, parameters["direction"])
        return {"image": blend(given, translated, parameters["strength"])}

    def image(self, state: State) -> Tensor:
        return state["image"].clamp(-1.0, 1.0)
