"""The contract between a family and the sampler core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from torch import Tensor, nn

State = dict[str, Tensor]
"""Tensors with one row per sample; what a program carries from step to step."""


@dataclass(frozen=True)
class ImageShape:
    """Channels (1 grey, 3 RGB), height and width in pixels."""

    channels: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height} x {self.width}, {'grey' if self.channels == 1 else 'RGB'}"


@dataclass(frozen=True)
class NoiseSpec:
    """Random input of one sample; ``shape`` is without the batch axis."""

    name: str
    shape: tuple[int, ...]
    kind: Literal["normal", "uniform"] = "normal"


@dataclass(frozen=True)
class Parameter:
    """A number that a request may set."""

    name: str
    default: float
    low: float
    high: float
    meaning: str
    whole: bool = False
    """Integers only."""
    structural: bool = False
    """It changes what is computed and not only with which numbers, as a count of steps does: programs get it
    as a plain number, while others come as tensors without dimensions in compiled and captured code."""


@dataclass(frozen=True)
class TextParameter:
    """A text that a request may set. Programs get it as it is, so that it is always structural."""

    name: str
    default: str
    meaning: str
    choices: tuple[str, ...] | None = None
    """The only texts that there may be; None: any."""
    most_characters: int = 1_000
    template: bool | None = None
    """Whether it must hold ``{class}``, which stands for the name of the class, or may not; None: either."""
    structural: ClassVar[bool] = True


AnyParameter = Parameter | TextParameter
Values = Mapping[str, Any]
"""Every parameter of a program by name; see ``Parameter.structural`` for how numbers come."""


class Program(Protocol):
    """How a generator makes samples: a pure function of noise, labels and parameters.

    It runs in one or more steps of fixed shape, so that the core can batch requests together, capture the
    step as a graph, and stop between steps. Rows are independent: row i of every output depends on row i of
    the inputs alone.
    """

    network: nn.Module
    noise: tuple[NoiseSpec, ...]
    parameters: tuple[AnyParameter, ...]

    def steps(self, parameters: Values) -> int:
        """How many times ``step`` is to be called."""

    def begin(self, noise: Mapping[str, Tensor], labels: Tensor | None, parameters: Values) -> State:
        """The first state. ``noise`` holds float32 [N, *shape] by name, ``labels`` int64 [N]."""

    def step(self, i: int, state: State, labels: Tensor | None, parameters: Values) -> State:
        """One step of the sampler."""

    def image(self, state: State) -> Tensor:
        """float [N, C, H, W] in [-1, 1]."""


@runtime_checkable
class Translator(Protocol):
    """A program whose state begins from images instead of noise alone."""

    def begin_from(
        self,
        images: Tensor,
        noise: Mapping[str, Tensor],
        labels: Tensor | None,
        parameters: Values,
    ) -> State:
        """The first state from images, float [N, C, H, W] in [-1, 1]."""


@runtime_checkable
class Interpreted(Protocol):
    """A program whose steps run Python code that nothing can compile or capture, with many steps or large
    networks: it is called eagerly alone, and measured with ``probe`` in place of the defaults."""

    @property
    def probe(self) -> Values:
        """Parameters for a few steps, every one by name."""


@runtime_checkable
class ReadsFiles(Protocol):
    """A network that needs more of its artifact than weights, as a tokenizer."""

    def read_files(self, files: Mapping[str, bytes]) -> None:
        """Take what is needed from the artifact's further files, by name."""


NetworkConfig = dict[str, Any]
"""Plain JSON: what a network is built from, besides image shape and number of classes."""
