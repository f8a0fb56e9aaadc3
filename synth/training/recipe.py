"""Recipes: the typed, frozen configuration of one training, and the only home of its defaults."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from synth.data import MINIMUM_IMAGES
from synth.errors import ConfigError
from synth.families import get_family
from synth.randomness import MAX_SEED
from synth.text import closest

ADJUSTABLE = frozenset({"minutes", "images_seen", "learning_rate", "precision", "compile"})
"""Settings that may differ when a run is resumed: they change how it goes on, not what it is."""

ENVIRONMENT_PREFIX = "SYNTH_RECIPE_"
_R = TypeVar("_R", bound="Recipe")


class Recipe(BaseModel):
    """What every family's recipe has. Lengths of training count images seen."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Defaults by preset; what is set explicitly wins."""
    least_images: ClassVar[int] = MINIMUM_IMAGES
    """Fewer images are refused."""
    enough_images: ClassVar[int] = 1_000
    """Fewer images are trained on with a warning."""
    pairs_target: ClassVar[bool] = True
    """Whether each batch holds as many images of the target; otherwise the module takes them by itself, and
    these say how many there have to be, when they are few, and why."""
    least_targets: ClassVar[int] = MINIMUM_IMAGES
    enough_targets: ClassVar[int] = MINIMUM_IMAGES
    targets_hint: ClassVar[str] = ""
    needs_labels: ClassVar[bool] = False
    """Images without labels are refused."""
    takes_shares: ClassVar[bool] = False
    """Labels may be shares of classes."""
    few_images_hint: ClassVar[str] = (
        "A smaller --preset and shorter training (--images-seen) leave less room for that."
    )
    """The settings that help where images are few: whole sentences."""

    preset: Literal["tiny", "small", "base", "large"] = Field(
        "tiny", description="Size of the network: tiny for two CPU cores, base for one large GPU."
    )
    size: tuple[int, int] | None = Field(
        None, description="Height and width in pixels; None keeps the images' own size, up to 128."
    )
    channels: Literal[1, 3] | None = Field(
        None, description="1 grey, 3 RGB; None: grey if every image is grey."
    )
    labels: bool | None = Field(
        None, description="true requires classes and false ignores them; None uses them where there are any."
    )
    warm_start: str | None = Field(
        None,
        description="Model in the store, of the same family and network, whose weights are the first ones.",
    )
    images_seen: int | None = Field(
        None, ge=1, description="Length of training. Default, when minutes is not set either: 500,000."
    )
    minutes: float | None = Field(
        None, gt=0, description="Length of training by the clock, instead of images_seen."
    )
    batch_size: int = Field(128, ge=1, description="Images per step.")
    learning_rate: float = Field(2e-3, gt=0, description="Peak; warmed up, then decayed by a cosine.")
    warmup: float = Field(0.03, ge=0, le=1, description="Share of training over which the rate rises.")
    weight_decay: float = Field(1e-2, ge=0, description="Of AdamW.")
    ema_share: float = Field(
        0.05, ge=0, le=1, description="Half-life of the weight average, as a share of the images seen so far."
    )
    ema_cap: int = Field(500_000, ge=1, description="Longest half-life of the weight average, in images.")
    validation: float = Field(
        0.05, gt=0, lt=0.5, description="Share of the images kept back, by content hash, to measure on."
    )
    precision: Literal["auto", "32", "bf16", "16"] = Field(
        "auto", description="auto is bf16 where the device computes in it."
    )
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Decides initial weights, order and noise.")

    def is_chosen(self, name: str) -> bool:
        """Whether somebody has set it, to another value than the preset's; otherwise it is a default."""
        preset = self.presets.get(self.preset, {})
        return name in self.model_fields_set and (name not in preset or getattr(self, name) != preset[name])

    def target_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of a target's images, where the others are of ``size``."""
        return size

    def settled(self) -> Self:
        """With what it leaves to the machine decided, so that a run can be made again, and gone on with."""
        return self

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        preset = values.get("preset", cls.model_fields["preset"].default)
        filled = {**cls.presets.get(preset, {}), **values} if isinstance(preset, str) else dict(values)
        if filled.get("images_seen") is None and filled.get("minutes") is None:
            filled["images_seen"] = 500_000
        return filled

    @model_validator(mode="after")
    def _one_length(self) -> Recipe:
        if self.images_seen is not None and self.minutes is not None:
            raise ValueError("set either minutes or images_seen, not both")
        return self

    @field_validator("precision", mode="before")
    @classmethod
    def _read_precision(cls, value: Any) -> Any:
        """YAML and ``--set`` read ``32`` as a number."""
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("size", mode="before")
    @classmethod
    def _read_size(cls, value: Any) -> Any:
        """``32``, ``"32"``, ``"32x48"`` (height x width) and ``[32, 48]`` are all understood."""
        if isinstance(value, str):
            parts = value.lower().split("x")
            if not 1 <= len(parts) <= 2 or not all(part.strip().isdecimal() for part in parts):
                raise ValueError(f"a size is a number of pixels, or HEIGHTxWIDTH, not {value!r}")
            value = [int(part) for part in parts]
        if isinstance(value, int) and not isinstance(value, bool):
            value = [value]
        if isinstance(value, (list, tuple)) and len(value) == 1:
            value = [value[0], value[0]]
        return value

    @field_validator("size")
    @classmethod
    def _check_size(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and not 4 <= min(value) <= max(value) <= 1024:
            raise ValueError(f"sides must be from 4 to 1024 pixels, not {value[0]} x {value[1]}")
        return value


def resolve_recipe(
    family: str,
    *,
    config: Path | None = None,
    overrides: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    base: Mapping[str, Any] | None = None,
) -> Recipe:
    """The recipe of a family, by precedence: flag, ``key=value``, environment, file, default.

    Args:
        family: name of the family.
        config: YAML or JSON file with recipe fields.
        overrides: ``key=value`` texts; values are read as YAML.
        flags: values by name; None means not given.
        base: a stored recipe that stands below all of these (used by ``--resume``).

    Raises:
        ConfigError: unknown names (with a suggestion) or values out of range, each named; a file that is
            missing or cannot be read.
        NotFoundError: unknown family.
    """
    recipe_type: type[Recipe] = get_family(family).load("recipe")
    layers = [
        _read_file(config, family) if config else {},
        _read_environment(recipe_type),
        # One layer, in which a flag wins: a preset by flag gives way to what --set says beside it.
        _read_overrides(overrides)
        | {name: value for name, value in (flags or {}).items() if value is not None},
    ]
    values = dict(base or {})
    for layer in layers:
        replaced: set[str] = set()
        if {"minutes", "images_seen"} & set(layer):  # either kind of length stands for both
            replaced |= {"minutes", "images_seen"}
        if "preset" in layer:  # and a preset for all that it decides
            replaced |= {name for preset in recipe_type.presets.values() for name in preset}
        values = {name: value for name, value in values.items() if name not in replaced} | layer
    return make_recipe(recipe_type, values)


def make_recipe(recipe_type: type[_R], values: Mapping[str, Any]) -> _R:
    """A recipe from plain values; ConfigError with one line for each fault."""
    try:
        return recipe_type.model_validate(dict(values))
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            name = ".".join(map(str, fault["loc"])) or "recipe"
            if fault["type"] == "extra_forbidden":
                faults.append(f"there is no setting {name!r}{closest(name, recipe_type.model_fields)}")
            else:
                message = fault["msg"].removeprefix("Value error, ")
                faults.append(f"{name} = {fault['input']!r}: {message}" if fault["loc"] else message)
        raise ConfigError(f"The recipe cannot be used: {'; '.join(faults)}.") from error


def check_resumable(stored: Recipe, wanted: Recipe, adjustable: frozenset[str] = ADJUSTABLE) -> list[str]:
    """``name: stored -> wanted`` for each setting that differs and is none of those that may."""
    before, after = stored.model_dump(mode="json"), wanted.model_dump(mode="json")
    return [
        f"{name}: {before.get(name)} -> {after[name]}"
        for name in after
        if name not in adjustable and before.get(name) != after[name]
    ]


def _read_file(path: Path, family: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"Cannot read the configuration {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is neither YAML nor JSON: {error}.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold settings by name, such as 'batch_size: 64'.")
    if content.pop("family", family) != family:
        raise ConfigError(f"{path} is a recipe of another family than {family!r}.")
    return content


def _read_environment(recipe_type: type[Recipe]) -> dict[str, Any]:
    return {
        name: _read_value(os.environ[variable])
        for name in recipe_type.model_fields
        if (variable := ENVIRONMENT_PREFIX + name.upper()) in os.environ
    }


def _read_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    values = {}
    for override in overrides:
        name, separator, text = override.partition("=")
        if not separator or not name.strip():
            raise ConfigError(f"Cannot read --set {override!r}; write --set name=value.")
        values[name.strip()] = _read_value(text)
    return values


def _read_value(text: str) -> Any:
    """The text as YAML, which leaves plain words words; JSON first, for numbers such as 1e-3."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
