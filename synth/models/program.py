"""The contract between a family and the sampler core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True)
class PictureParameter:
    """Pictures that a request may bring along, as those whose style is to be painted in; none by default.

    They are given where images are: as arrays in Python, as files on the command line and in forms. The
    program must be ``Styled``. ``begin_from`` finds under the parameter's name what ``style_from`` made of
    them, float32 [N, D] with a row for each sample, or None where none were given. Everywhere else, as in
    records and manifests, the value is a text: the content ids of the pictures.
    """

    name: str
    meaning: str
    most: int = 8
    """Pictures that may be given at once."""
    default: ClassVar[str] = ""
    structural: ClassVar[bool] = True


AnyParameter = Parameter | TextParameter | PictureParameter
Values = Mapping[str, Any]
"""Every parameter of a program by name; see ``Parameter.structural`` for how numbers come."""


class Program(Protocol):
    """How a generator makes samples: a pure function of noise, labels and parameters.

    It begins them from noise alone, from images, or from either: it is ``FromNothing``, a ``Translator``, or
    both. It runs in one or more steps of fixed shape, so that the core can batch requests together, capture
    the step as a graph, and stop between steps. Rows are independent: row i of every output depends on row i
    of the inputs alone.
    """

    network: nn.Module
    noise: tuple[NoiseSpec, ...]
    parameters: tuple[AnyParameter, ...]

    def steps(self, parameters: Values) -> int:
        """How many times ``step`` is to be called."""

    def step(self, i: int, state: State, labels: Tensor | None, parameters: Values) -> State:
        """One step of the sampler."""

    def image(self, state: State) -> Tensor:
        """float [N, C, H, W] in [-1, 1]."""


@runtime_checkable
class FromNothing(Protocol):
    """A program whose state begins from noise alone; one that is not makes images from images only."""

    def begin(self, noise: Mapping[str, Tensor], labels: Tensor | None, parameters: Values) -> State:
        """The first state. ``noise`` holds float32 [N, *shape] by name, ``labels`` int64 [N]."""


@runtime_checkable
class Translator(Protocol):
    """A program whose state begins from images, besides noise."""

    def begin_from(
        self,
        images: Tensor,
        noise: Mapping[str, Tensor],
        labels: Tensor | None,
        parameters: Values,
    ) -> State:
        """The first state from images, float [N, C, H, W] in [-1, 1]."""


@runtime_checkable
class Resizable(Protocol):
    """A translator that takes images of any size, as networks of convolutions alone do.

    Images are extended by reflection to what ``multiple`` says, translated, and cropped. Those beyond a limit
    of pixels are cut into overlapping tiles, which share the key of their image, so that what a program draws
    from noise must be a decision on the image as a whole.
    """

    multiple: int
    """It divides the sides of the images that ``begin_from`` gets, which are four times as long or longer,
    or at least as long as in training."""
    context: int
    """How many pixels away, in each direction, an output pixel may still depend on the input."""


@runtime_checkable
class Styled(Protocol):
    """A translator that takes pictures as a parameter, see ``PictureParameter``."""

    def style_from(self, pictures: Sequence[Tensor], parameters: Values) -> Tensor:
        """float32 [D]: all that the samples of a request shall have of its pictures, of any size.

        Each is float [1, C, H, W] in [-1, 1] of the network's channels, device and precision. ``parameters``
        are those of the request, as in ``begin_from``, so that one of them may weigh the pictures.
        """


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
