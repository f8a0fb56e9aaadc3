"""What a loaded model is to those who ask it for samples, wherever it computes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synth.artifacts import Artifact, ModelCard
from synth.batch import Batch, Fingerprint, Mode, Parameters, Precision
from synth.errors import UsageError
from synth.families import require_translator
from synth.labels import Labels, resolve_labels
from synth.models.program import AnyParameter
from synth.randomness import check_seed
from synth.sampling.costs import Costs
from synth.sampling.generator import Images, Value
from synth.sampling.pictures import Embedded, check_pictures, picture_parameter, recorded
from synth.sampling.requests import check_images, check_keys, check_parameters
from synth.sampling.rows import Rows, Shape, Wanted, Work
from synth.sampling.sizes import Resizing


@dataclass(frozen=True)
class Traits:
    """All of a loaded model that requests are planned by; plain data, which another process can be sent."""

    device: str
    """Its type: ``cpu`` or ``cuda``."""
    precision: Precision
    parameters: tuple[AnyParameter, ...]
    costs: Costs
    resizing: Resizing | None = None
    """How it takes images of any size to translate; None where it takes those of its own size alone."""


class Planner(ABC):
    """Finds requests good, and tells what they cost. Computing is left to those who derive from it.

    Everything but ``run`` is for any thread.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        counts = artifact.manifest.training.class_counts
        self._counts = counts if counts and any(counts) else None  # zeros: the training data are not known
        self._card = artifact.card

    @property
    @abstractmethod
    def traits(self) -> Traits:
        """What it is planned by."""

    @property
    @abstractmethod
    def concurrent(self) -> bool:
        """Whether several threads may call ``run`` at once."""

    @property
    @abstractmethod
    def memory_bytes(self) -> int:
        """Bytes of weights and of the activations of the largest bucket, as far as modules tell."""

    @abstractmethod
    def steps(self, parameters: Parameters) -> int:
        """How many steps the program takes, which time grows with. For any thread."""

    @abstractmethod
    def run(self, rows: Rows, mode: Mode, parameters: Parameters, *, wanted: Wanted | None = None) -> Tensor:
        """uint8 [N, C, H, W] on the CPU, for the rows of one planned request or of several together.

        ``wanted`` is asked between buckets and between the steps of samplers that have several: rows that
        nobody waits for any more are left out, and their pixels are undefined. Raises DeviceError.
        """

    @abstractmethod
    def style(self, pictures: Sequence[np.ndarray], parameters: Parameters) -> Tensor:
        """float32 [D] on the CPU: what ``Styled.style_from`` makes of canonical pixels."""

    def close(self) -> None:  # noqa: B027  # most have nothing to do
        """Give back what it takes up elsewhere than in this object."""

    @property
    def card(self) -> ModelCard:
        """Name, version, image shape, classes and origin of the model."""
        return self._card

    @property
    def parameters(self) -> tuple[AnyParameter, ...]:
        """The sampling parameters that this model takes, with their ranges."""
        return self.traits.parameters

    @property
    def any_size(self) -> bool:
        """Whether it translates images of any size; otherwise of its own alone."""
        return self.traits.resizing is not None

    def fingerprint(self, mode: Mode = "fast") -> Fingerprint:
        """All that decides pixels besides key, label and parameters."""
        traits = self.traits
        return Fingerprint(
            model=self._card.reference,
            digest=self._card.digest,
            torch=torch.__version__,
            device=traits.device,
            precision=traits.precision,
            mode=mode,
        )

    def plan(
        self,
        count: int | None,
        *,
        labels: Labels | None = "any",
        seed: int = 0,
        start: int = 0,
        mode: Mode = "fast",
        images: Images | None = None,
        parameters: Mapping[str, Value] | None = None,
    ) -> Work:
        """A request in the form that ``run`` takes, with all its values found good.

        Arguments and errors are those of ``Sampler.generate`` or, with ``images`` in place of a count, of
        ``Sampler.translate``. Pictures that were not embedded yet are, on this thread.
        """
        seed = check_seed(seed)
        if images is None:
            self.artifact.require_generator()
        pixels = None if images is None else self._check_translation(images, labels)
        shape = None if pixels is None else tuple(pixels.shape[1:])
        index = check_keys(self.card, count if pixels is None else len(pixels), start, mode, shape)
        values, given = self._check_parameters(parameters or {})
        classes = resolve_labels(
            "any" if labels is None and pixels is not None else labels,  # type: ignore[arg-type]
            classes=self.card.classes,
            index=index,
            seed=seed,
            proportions=self._counts,
        )
        return Work(Rows.of(seed, index, classes, pixels, given), seed, mode, values)

    def embed(self, name: str, pictures: object, parameters: Mapping[str, Value] | None = None) -> Embedded:
        """Pictures for the parameter of that name, as ``plan`` takes them; on the model's own thread.

        ``parameters``: those of the request, or some of them. Raises UsageError.
        """
        parameter = picture_parameter(self.parameters)
        if parameter is None or parameter.name != name:
            takes = "takes none" if parameter is None else f"takes them as {parameter.name}"
            raise UsageError(f"{self.card.reference} takes no pictures as {name!r}: it {takes}.")
        pixels = check_pictures(parameter, pictures)
        others = {key: value for key, value in (parameters or {}).items() if key != name}
        values = check_parameters(self.card, self.parameters, others)
        return Embedded(recorded(pixels), self.style(pixels, values))

    def batch(self, work: Work, pixels: Tensor) -> Batch:
        """The answer to a planned request whose pixels were made."""
        return Batch(
            pixels,
            work.rows.labels,
            work.rows.index,
            work.seed,
            self.fingerprint(work.mode),
            classes=self.card.classes,
            parameters=work.parameters,
            translated=work.rows.images is not None,
        )

    def cost(
        self,
        count: int,
        mode: Mode = "fast",
        parameters: Parameters | None = None,
        shape: Shape | None = None,
    ) -> float:
        """Predicted seconds of device time, from what warm-up measured; 0.0 where it measured nothing.

        Args:
            parameters: those of planned work, which may ask for many steps or few; None: the defaults.
            shape: channels, height and width of the images to translate, if there are some.
        """
        steps = None if parameters is None else self.steps(parameters)
        return self.traits.costs.seconds(count, mode, steps, self._load(shape))

    def best_bucket(self, mode: Mode = "fast", shape: Shape | None = None) -> int:
        """How many samples at once take the least time for each, by what warm-up measured."""
        return self.traits.costs.best_bucket(mode, self._load(shape))

    def _load(self, shape: Shape | None) -> float | None:
        """How much work such an image is beside those that were measured; None: it is as those were."""
        resizing = self.traits.resizing
        if shape is None or resizing is None:
            return None
        cover = resizing.cover(*shape[1:])
        return None if cover.tiles == 1 and cover.shape == resizing.natural else resizing.load(*shape[1:])

    def _check_parameters(self, given: Mapping[str, Value]) -> tuple[dict[str, float | str], Tensor | None]:
        """Every parameter as it is recorded, and what the model made of the pictures among them."""
        one = picture_parameter(self.parameters)
        pictures = given.get(one.name, "") if one is not None else ""
        if one is None or (isinstance(pictures, str) and not pictures):
            return check_parameters(self.card, self.parameters, given), None
        if not isinstance(pictures, Embedded):
            pictures = self.embed(one.name, pictures, given)
        values = check_parameters(self.card, self.parameters, {**given, one.name: pictures.text})
        return values, pictures.vector

    def _check_translation(self, images: Images, labels: Labels | None) -> Tensor:
        require_translator(self.card.family, self.card.reference)
        pixels = check_images(self.card, images, any_size=self.any_size)
        if labels is None and self.card.classes is not None:
            raise UsageError(f"{self.card.reference} has classes; say with labels what the images show.")
        return pixels
