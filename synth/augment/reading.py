"""Read a specification: YAML or JSON to a tree of operations, or an error that says what is wrong and where.

version: 1
chiral: [b, d]                    # classes that a mirror would turn into others: no flips
min_visible: 0.2                  # boxes of which less is left inside are dropped
min_area: 16                      # and those of fewer square pixels
min_side: 2                       # or pixels of width or height
sample:
  - horizontal_flip               # an operation with its defaults
  - operation: rotate@1
    probability: 0.5
    degrees: [-10, 10]
  - one_of:
      - {operation: blur, sigma: [0.5, 1]}
      - {operation: jpeg, quality: [30, 60]}
  - some_of: [brightness, contrast, gamma]
    count: 2
  - sequence: [grey, gaussian_noise]
    probability: 0.1
  - sequence: [hue]
    within: objects               # or background, or {classes: [1, 2], share: 0.5}: what else stays
batch: [cutmix]                   # then each with a partner of the data set: operations that need one
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from synth.artifacts import Store
from synth.augment.box_policy import BoxFilter
from synth.augment.models import with_models
from synth.augment.operation import MixingOperation, Operation, SampleOperation
from synth.augment.presets import PRESETS
from synth.augment.region import Region
from synth.augment.rules import check
from synth.augment.search import searchable
from synth.augment.specification import KINDS, Group, Kind, Specification, Step
from synth.augment.table import OPERATIONS, full_name, operation_type
from synth.augment.text import check_plain, read_text
from synth.errors import ConfigError
from synth.text import closest, some

_FIELDS = ("version", "sample", "batch", "chiral", "min_visible", "min_area", "min_side")
_MOST_DEEP = 16


def read_specification(
    content: str | Path | Mapping[str, Any], *, store: Store | None = None
) -> Specification:
    """A specification of a preset's name, a YAML or JSON file, or plain values.

    Models are looked for in ``store``, by default that of SYNTH_HOME, and their exact versions recorded.

    Raises ConfigError for a file that cannot be read, unknown names (with a suggestion), values out of range,
    search leaves that nobody has chosen for, ids used twice, flips where there are chiral classes, operations
    that change the size of some images only, and models that are missing or cannot do what is asked.
    """
    if isinstance(content, str) and content in PRESETS:
        content = PRESETS[content]
    if isinstance(content, Mapping):
        values = dict(check_plain(content, "The pipeline"))
    else:
        values = _read_file(Path(content))
    for name in values:
        if name not in _FIELDS:
            raise ConfigError(
                f"The pipeline has an unknown key {name!r}{closest(str(name), _FIELDS)}. "
                f"Keys: {', '.join(_FIELDS)}."
            )
    if isinstance(values.get("version"), bool) or values.get("version", 1) != 1:
        raise ConfigError(
            f"The pipeline has version {values['version']!r}, and this synth knows 1; update synth."
        )
    open_leaves = [path for path, _ in searchable(values)]
    if open_leaves:
        raise ConfigError(
            f"The pipeline leaves {some(open_leaves)} to a search; choose a value for each first."
        )
    steps, batch = values.get("sample", []), values.get("batch", [])
    if not isinstance(steps, list) or not isinstance(batch, list) or not steps + batch:
        raise ConfigError("The pipeline has no steps: list at least one operation under 'sample' or 'batch'.")
    found = Specification(
        _steps(steps, "sample", 0, ""),
        _chiral(values.get("chiral", [])),
        BoxFilter(
            _number(values.get("min_visible", 0.0), "min_visible"),
            *(_number(values.get(name, 0.0), name, most=2**32) for name in ("min_area", "min_side")),
        ),
        tuple(_mixing(step, f"batch[{place}]") for place, step in enumerate(batch)),
    )
    check(found)
    return with_models(found, store)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = read_text(path.read_text(), str(path))
    except OSError as error:
        presets = f" There are the presets {', '.join(PRESETS)}."
        raise ConfigError(f"Cannot read the pipeline {path}: {error.strerror}.{presets}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is neither YAML nor JSON: {error}.") from error
    except ValueError as error:  # NUL and lone surrogates are in no path
        raise ConfigError(f"Cannot read the pipeline {str(path)!r}: {error}.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold a pipeline: a mapping with 'sample', a list of operations.")
    return content


def _steps(values: list[Any], where: str, depth: int, outer: str) -> tuple[Step, ...]:
    """Steps of one list. Groups without an id are numbered by their kind: what is in them decides nothing."""
    found: list[Step] = []
    seen: Counter[str] = Counter()
    for place, value in enumerate(values):
        kind = next((kind for kind in KINDS if isinstance(value, Mapping) and kind in value), "")
        seen[kind] += 1
        name = f"{outer}{kind}" if seen[kind] == 1 else f"{outer}{kind} {seen[kind]}"
        found.append(_step(value, f"{where}[{place}]", depth, name))
    return tuple(found)


def _step(value: Any, where: str, depth: int, name: str) -> Step:
    """``name``: its id if it is a group that does not say one."""
    step = _any_step(value, where, depth, name)
    if isinstance(step, (SampleOperation, Group)):
        return step
    raise ConfigError(f"{where}: {step.id} takes a partner: list it under 'batch', not under 'sample'.")


def _any_step(value: Any, where: str, depth: int, name: str = "") -> Operation | Group:
    if depth > _MOST_DEEP:
        raise ConfigError(f"{where}: groups lie in each other more than {_MOST_DEEP} deep.")
    if isinstance(value, str):
        value = {"operation": value}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: a step is the name of an operation or a mapping, not {value!r}.")
    kinds = [kind for kind in KINDS if kind in value]
    if len(kinds) + ("operation" in value) != 1:
        known = ("operation", *KINDS)
        hint = next((found for name in value if (found := closest(str(name), known))), "")
        meant = next((name for name in map(str, value) if _is_operation(name)), None)
        remedy = "" if meant is None or kinds else f" Write {{operation: {meant}, ...}}."
        raise ConfigError(
            f"{where}: a step has one of the keys {', '.join(known)}{hint}, not {some([*value])}.{remedy}"
        )
    return _group(kinds[0], value, where, depth, name) if kinds else _operation(value, where)


def _is_operation(name: str) -> bool:
    return any(name in (full, full.partition("@")[0]) for full in OPERATIONS)


def _mixing(value: Any, where: str) -> MixingOperation:
    if isinstance(value, Mapping) and any(kind in value for kind in KINDS):
        raise ConfigError(f"{where}: 'batch' takes single operations; a group belongs under 'sample'.")
    step = _any_step(value, where, 0)
    if not isinstance(step, MixingOperation):
        raise ConfigError(
            f"{where}: 'batch' takes operations that mix two samples, such as cutmix; {step.id} belongs "
            "under 'sample'."
        )
    return step


def _operation(value: Mapping[str, Any], where: str) -> Operation:
    name = value["operation"]
    if not isinstance(name, str):
        raise ConfigError(f"{where}: an operation is named by a text, such as rotate@1, not {name!r}.")
    try:
        name = full_name(name)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    kind = operation_type(name)
    fields = {field: one for field, one in value.items() if field != "operation"}
    try:
        return kind.model_validate({"id": name.partition("@")[0], **fields})
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            field = ".".join(map(str, fault["loc"]))
            if fault["type"] == "extra_forbidden":
                faults.append(f"there is no parameter {field!r}{closest(field, kind.model_fields)}")
            else:
                faults.append(f"{field} = {fault['input']!r}: {fault['msg'].removeprefix('Value error, ')}")
        raise ConfigError(f"{where} ({name}): {'; '.join(faults)}.") from None


def _group(kind: Kind, value: Mapping[str, Any], where: str, depth: int, default: str) -> Group:
    known = (kind, "id", "probability", "within", *(("count",) if kind == "some_of" else ()))
    for name in value:
        if name not in known:
            raise ConfigError(f"{where}: {kind} has no key {name!r}{closest(str(name), known)}.")
    steps = value[kind]
    if not isinstance(steps, list) or not steps:
        raise ConfigError(f"{where}: {kind} takes a list of at least one step.")
    name = value.get("id", default)
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{where}: an id is a text, not {name!r}.")
    inner = _steps(steps, f"{where}.{kind}", depth + 1, f"{name}/")
    return Group(
        kind,
        name,
        _number(value.get("probability", 1.0), f"{where}: probability"),
        inner,
        _count(value.get("count", 1), len(inner), where),
        _region(value["within"], where) if "within" in value else None,
    )


def _region(value: Any, where: str) -> Region:
    if value == "background":
        return Region(background=True)
    if value == "objects":
        return Region()
    if not isinstance(value, Mapping) or not set(value) <= {"classes", "share"}:
        raise ConfigError(
            f"{where}: within is objects, background, or {{classes: [1, 2], share: 0.5}} of the objects, not "
            f"{value!r}."
        )
    classes = value.get("classes")
    if classes is not None and not (
        isinstance(classes, list) and classes and all(type(number) is int for number in classes)
    ):
        raise ConfigError(f"{where}: classes of objects are a list of their numbers, not {classes!r}.")
    share = _number(value.get("share", 1.0), f"{where}: share")
    return Region(classes=None if classes is None else tuple(classes), share=share)


def _count(value: Any, most: int, where: str) -> tuple[int, int]:
    ends = value if isinstance(value, list) else [value, value]
    whole = all(isinstance(end, int) and not isinstance(end, bool) for end in ends)
    if len(ends) != 2 or not whole or not 0 <= ends[0] <= ends[1] <= most:
        raise ConfigError(
            f"{where}: count is a number, or two, of 0 to the {most} steps there are, not {value!r}."
        )
    return ends[0], ends[1]


def _number(value: Any, what: str, most: float = 1.0) -> float:
    number = type(value) in (int, float) and math.isfinite(value)
    if not number or not 0 <= value <= most:
        raise ConfigError(f"{what} is a number of 0 to {most:g}, not {value!r}.")
    return float(value)


def _chiral(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ConfigError(f"chiral is a list of class names, not {value!r}.")
    return tuple(value)
