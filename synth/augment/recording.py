"""Plans as JSON and back: what is read again is held to what the operations can have planned.

A record is of one sample: ``{"id": ..., "parameters": {...}}`` for each operation that is applied to it, in
order. One within a region has the key that chose its objects, ``within``, besides; one that mixes its
partners and their records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from synth.augment.operation import Meta, Operation, Parameters
from synth.augment.plan import Application, Inside, Plan
from synth.augment.specification import Specification
from synth.errors import UsageError
from synth.randomness import MAX_INDEX

Record = list[dict[str, Any]]
Entries = Mapping[int, Mapping[str, Any]]
"""By row, what records say of one operation."""
KEYS = frozenset({"key", "index", "noise"})
"""Parameters of 63 bits. They are written as text, since many readers of JSON keep 53 bits of a number."""


def records(plan: Plan, count: int) -> list[Record]:
    """The plan of each sample, ready for JSON."""
    found: list[Record] = [[] for _ in range(count)]
    for one in plan:
        for place, row in enumerate(one.rows.tolist()):
            entry = {"id": one.operation.id, "parameters": plain_row(one.parameters, place)}
            if one.inside is not None:
                entry["within"] = str(one.inside.keys[place])
            found[row].append(entry)
    return found


def plain_row(parameters: Parameters, at: int) -> dict[str, Any]:
    """The parameters of one row, ready for JSON."""
    return {
        name: str(column[at]) if name in KEYS else column[at].tolist() for name, column in parameters.items()
    }


def plan_of(specification: Specification, by_id: Mapping[str, Entries], meta: Meta, count: int) -> Plan:
    """The plan that these records of ``count`` samples were made of.

    Raises UsageError for records of another pipeline, or without what is done to every sample, and for
    parameters that are missing, of another type, or out of range.
    """
    unknown = sorted(by_id.keys() - {step.id for step in specification.operations()})
    if unknown:
        raise UsageError(f"The record is of another pipeline: {unknown} are not in this one.")
    plan: Plan = []
    for operation in specification.operations():
        entries = by_id.get(operation.id, {})
        if operation.id in specification.always and len(entries) < count:
            lacking = next(row for row in range(count) if row not in entries)
            raise UsageError(
                f"The record of sample {lacking} lacks {operation.id!r}, which this pipeline does to every "
                "sample: it is of another pipeline, or not whole."
            )
        if entries:
            region = specification.regions.get(operation.id)
            inside = None if region is None else Inside(region, _within(operation.id, entries))
            rows = np.asarray([*entries], dtype=np.int64)
            plan.append(Application(operation, rows, parameters_of(operation, entries, meta), inside))
        meta = Meta(operation.output_size(meta.size), meta.channels)
    return plan


def sorted_out(found: Sequence[Record], count: int) -> dict[str, Entries]:
    """By id of the operation what records say, of which there must be ``count``; raises UsageError."""
    if not isinstance(found, Sequence) or isinstance(found, str) or len(found) != count:
        given = len(found) if isinstance(found, Sequence) else type(found).__name__
        raise UsageError(f"A replay takes a list of {count} records, one for each sample, not {given}.")
    by_id: dict[str, dict[int, Mapping[str, Any]]] = {}
    for row, record in enumerate(found):
        for entry in record if isinstance(record, list) else [None]:
            if not isinstance(entry, Mapping) or not isinstance(entry.get("id"), str):
                raise UsageError(
                    f"The record of sample {row} is no list of operations, each with its id and parameters."
                )
            if row in by_id.setdefault(entry["id"], {}):
                raise UsageError(f"The record of sample {row} has {entry['id']!r} twice.")
            by_id[entry["id"]][row] = entry
    return {**by_id}


def parameters_of(operation: Operation, entries: Entries, meta: Meta) -> dict[str, np.ndarray]:
    """Arrays [n, ...] of what records say, of the names, shapes and types that its plans have.

    Raises UsageError, which names the first row at fault, where possible.
    """
    like = operation.plan(np.zeros((1, operation.words), dtype=np.int64), meta)
    for row, entry in entries.items():
        given = entry.get("parameters")
        if not isinstance(given, Mapping) or given.keys() != like.keys():
            names = sorted(given) if isinstance(given, Mapping) else given
            raise UsageError(
                f"The record of sample {row}: {operation.id} has the parameters {sorted(like)}, not {names}."
            )
    found = {
        name: _column(operation.id, name, {row: one["parameters"][name] for row, one in entries.items()}, as_)
        for name, as_ in like.items()
    }
    try:
        operation.refuse(found, meta)
    except ValueError as error:
        raise UsageError(f"The record of {operation.id} cannot be of these samples: {error}.") from None
    return found


def _column(step: str, name: str, values: Mapping[int, Any], like: np.ndarray) -> np.ndarray:
    """Values by row as an array of the type and shape that rows of ``like``, [1, ...], have."""
    read = {row: _one(value, like, is_key=name in KEYS) for row, value in values.items()}
    wrong = next((row for row, value in read.items() if value is None), None)
    if wrong is not None:
        raise UsageError(
            f"The record of sample {wrong}: {step} has {name} = {values[wrong]!r}, and takes "
            f"{_kind(name, like)}."
        )
    return np.stack([value for value in read.values() if value is not None])


def _one(value: Any, like: np.ndarray, *, is_key: bool) -> np.ndarray | None:
    """None where it is of another shape or type, no number, or no key."""
    if is_key:
        key = key_of(value)
        return None if key is None else np.asarray(key)
    try:
        found = np.asarray(value)
    except (ValueError, OverflowError):
        return None
    # Whole numbers stand for floating-point ones, but not the other way round.
    fits = found.dtype.kind in {"f": "fi", "i": "i", "U": "U"}[like.dtype.kind]
    if found.shape != like.shape[1:] or not fits:
        return None
    if like.dtype.kind == "f" and not np.isfinite(found).all():
        return None
    return found if like.dtype.kind == "U" else found.astype(like.dtype)


def key_of(value: Any) -> int | None:
    """A key as it is written, or as a whole number; None where it is none."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        value = int(value)
    return value if type(value) is int and 0 <= value <= MAX_INDEX else None


def _within(step: str, entries: Entries) -> np.ndarray:
    keys = {row: key_of(entry.get("within")) for row, entry in entries.items()}
    wrong = next((row for row, key in keys.items() if key is None), None)
    if wrong is not None:
        raise UsageError(
            f"The record of sample {wrong}: {step} needs the key 'within' that chose its objects."
        )
    return np.asarray([*keys.values()], dtype=np.int64)


def _kind(name: str, like: np.ndarray) -> str:
    if name in KEYS:
        return "a whole number of 0 to 2**63 - 1, as text"
    noun = {"f": "finite number", "i": "whole number", "U": "text"}[like.dtype.kind]
    return f"{noun}s of the shape {[*like.shape[1:]]}" if like.ndim > 1 else f"a {noun}"
