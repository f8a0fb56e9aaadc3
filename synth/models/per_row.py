"""Translators with a strength of its own for each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from synth.models.program import AnyParameter, Parameter, PictureParameter, State, Values

STRENGTH = "strength"
_GIVEN = "strengths"


def takes_strengths(parameters: tuple[AnyParameter, ...]) -> bool:
    """Whether there is a strength, and one that changes nothing but numbers."""
    return any(
        isinstance(one, Parameter) and one.name == STRENGTH and not one.structural for one in parameters
    )


class PerRowProgram:
    """The program of a translator, whose strength comes with each row: ``Rows.given`` is float32 [N, 1].

    What a program begins with are often latents and what it ends with images, so that strengths are [N, 1]
    in the former and [N, 1, 1, 1] in the latter. Pictures are not taken.
    """

    def __init__(self, own: Any) -> None:
        self._own = own
        self.network: nn.Module = own.network
        self.noise = own.noise
        self._pictures = [one.name for one in own.parameters if isinstance(one, PictureParameter)]
        self.parameters: tuple[AnyParameter, ...] = (
            PictureParameter(_GIVEN, "of each row"),
            *(one for one in own.parameters if one.name not in (STRENGTH, *self._pictures)),
        )
        for name in ("multiple", "context"):  # of those that take images of any size
            if hasattr(own, name):
                setattr(self, name, getattr(own, name))

    def steps(self, parameters: Values) -> int:
        found: int = self._own.steps(parameters)
        return found

    def begin_from(
        self, images: Tensor, noise: Mapping[str, Tensor], labels: Tensor | None, parameters: Values
    ) -> State:
        strengths = parameters[_GIVEN]
        if not isinstance(strengths, Tensor):  # when the core measures itself
            strengths = images.new_ones(len(images), 1)
        nothing = dict.fromkeys(self._pictures)
        state: State = self._own.begin_from(
            images, noise, labels, {**parameters, **nothing, STRENGTH: strengths}
        )
        return {**state, _GIVEN: strengths}

    def step(self, i: int, state: State, labels: Tensor | None, parameters: Values) -> State:
        strengths = state[_GIVEN]
        made: State = self._own.step(i, state, labels, {**parameters, STRENGTH: strengths[:, :, None, None]})
        return {**made, _GIVEN: strengths}

    def image(self, state: State) -> Tensor:
        made: Tensor = self._own.image(state)
        return made
