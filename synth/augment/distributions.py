"""Distributions: what a parameter of an operation is drawn from, each by one uniform number.

    0.5                        always 0.5
    [0, 1]                     uniform between the two
    {uniform: [0, 1]}          the same
    {log_uniform: [0.1, 10]}   uniform in the logarithm
    {normal: [0, 0.1]}         mean and standard deviation, cut off at the parameter's bounds
    {choice: [3, 5, 7]}        each equally often
    {beta: [0.4, 0.4]}         the two shapes

A draw is the quantile of a uniform number, so that every parameter of every sample takes exactly one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from synth.text import closest

Kind = Literal["constant", "uniform", "log_uniform", "normal", "choice", "beta"]
KINDS = ("uniform", "log_uniform", "normal", "choice", "beta")


@dataclass(frozen=True)
class Distribution:
    """See the module's docstring. ``low`` and ``high`` are the bounds of the parameter it is for."""

    kind: Kind
    values: tuple[float, ...]
    low: float = -math.inf
    high: float = math.inf

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """float64 [n], drawn by uniform numbers float64 [n] in [0, 1)."""
        first, last = self.values[0], self.values[-1]
        if self.kind == "constant":
            return np.full(u.shape, first)
        if self.kind == "uniform":
            return first + (last - first) * u
        if self.kind == "log_uniform":
            low, high = math.log(first), math.log(last)
            return between(np.exp(low + (high - low) * u), first, last)
        if self.kind == "choice":
            place = (u * len(self.values)).astype(np.int64)
            return np.asarray(self.values)[np.minimum(place, len(self.values) - 1)]
        from scipy import special

        middle = u + 2.0**-25  # of the interval that the number stands for; 0 has no normal quantile
        if self.kind == "normal":
            return np.asarray(np.clip(first + last * special.ndtri(middle), self.low, self.high))
        return np.asarray(special.betaincinv(first, last, middle))

    @property
    def ends(self) -> tuple[float, float]:
        """Least and greatest value that may be drawn."""
        if self.kind == "normal":
            return (self.low, self.high) if self.values[1] else (self.values[0], self.values[0])
        if self.kind == "beta":
            return 0.0, 1.0
        return min(self.values), max(self.values)

    def plain(self) -> Any:
        """As it is written in a specification."""
        values = [int(value) if value == int(value) else value for value in self.values]
        if self.kind == "constant":
            return values[0]
        return values if self.kind == "uniform" else {self.kind: values}


def between(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """``np.clip``, in a third of the time where there are few."""
    return np.asarray(np.minimum(np.maximum(values, low), high))


@dataclass(frozen=True)
class Within:
    """Makes a field a distribution that draws from [low, high]: ``Annotated[Distribution, Within(0, 1)]``."""

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    """Only whole numbers."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: value.plain() if isinstance(value, Distribution) else value
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        number: dict[str, Any] = {"type": "integer" if self.whole else "number"}
        if math.isfinite(self.low):
            number["minimum"] = self.low
        if math.isfinite(self.high):
            number["maximum"] = self.high
        positive = {"type": "number", "exclusiveMinimum": 0}
        spread = {"type": "number", "minimum": 0}
        pair = _pair(number, number)
        forms: dict[str, Any] = {"uniform": pair, "choice": {"type": "array", "items": number, "minItems": 1}}
        if not self.whole:
            forms["normal"] = _pair({"type": "number"}, spread)
            if self.high > 0:
                forms["log_uniform"] = _pair(*[{**number, **positive}] * 2)
            if self.low <= 0 and self.high >= 1:
                forms["beta"] = _pair(positive, positive)
        return {"anyOf": [number, pair, *(_one_key(kind, form) for kind, form in forms.items())]}

    def read(self, value: Any) -> Distribution:
        """The distribution that ``value`` describes; ValueError, which pydantic reports, if it is none."""
        if isinstance(value, Distribution):
            return self.read(value.plain())
        found = Distribution(*_parse(value), low=self.low, high=self.high)
        _check(found)
        low, high = found.ends
        if low < self.low or high > self.high:
            raise ValueError(f"must lie in [{self.low:g}, {self.high:g}], not {value!r}")
        if self.whole and (
            found.kind not in ("constant", "choice", "uniform") or any(v != int(v) for v in found.values)
        ):
            raise ValueError(f"takes a whole number, two of them, or a choice of such, not {value!r}")
        if self.whole and found.kind == "uniform":
            # Both ends count.
            values = tuple(float(v) for v in range(int(found.values[0]), int(found.values[1]) + 1))
            return Distribution("choice", values, low=self.low, high=self.high)
        return found


def _pair(first: Any, second: Any) -> dict[str, Any]:
    return {"type": "array", "prefixItems": [first, second], "minItems": 2, "maxItems": 2}


def _one_key(name: str, form: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {name: form}, "required": [name], "additionalProperties": False}


def _parse(value: Any) -> tuple[Kind, tuple[float, ...]]:
    if _is_number(value):
        return "constant", (float(value),)
    if isinstance(value, (list, tuple)):
        if len(value) == 2 and all(map(_is_number, value)):
            return "uniform", (float(value[0]), float(value[1]))
        raise ValueError(f"a range is two numbers, such as [0.5, 1.5], not {value!r}")
    if isinstance(value, Mapping) and len(value) == 1:
        ((kind, values),) = value.items()
        if kind not in KINDS:
            raise ValueError(
                f"there is no distribution {kind!r}{closest(str(kind), KINDS)}; use one of {', '.join(KINDS)}"
            )
        if isinstance(values, (list, tuple)) and values and all(map(_is_number, values)):
            if kind != "choice" and len(values) != 2:
                raise ValueError(f"{kind} takes two numbers, not {values!r}")
            return kind, tuple(map(float, values))
        raise ValueError(f"{kind} takes a list of numbers, not {values!r}")
    raise ValueError(f"must be a number, a range such as [0, 1], or a distribution, not {value!r}")


def _check(found: Distribution) -> None:
    first, last = found.values[0], found.values[-1]
    if found.kind in ("uniform", "log_uniform") and first > last:
        raise ValueError(f"a range begins with its lower end, unlike [{first:g}, {last:g}]")
    if found.kind == "log_uniform" and first <= 0:
        raise ValueError(f"log_uniform is for positive numbers, not {first:g}")
    if found.kind == "normal" and last < 0:
        raise ValueError(f"a standard deviation is not negative, unlike {last:g}")
    if found.kind == "beta" and min(first, last) <= 0:
        raise ValueError(f"the shapes of beta are positive, unlike [{first:g}, {last:g}]")


def _is_number(value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floating-point ones
        return False
