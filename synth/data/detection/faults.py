"""What is wrong with the entries of a data set, gathered so that it is told at once.

Three kinds. What is *mended* does no harm, and is noted: boxes that reach beyond their image are cut off,
boxes without any area left out. What is *faulty* is refused, as something else was meant, unless the user
lets such entries be left out; then it is noted as well. What is *unsafe* or ambiguous raises at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np

from synth.data.detection.source import AnnotatedSource
from synth.data.files import ImageFile
from synth.data.objects import LEAST_SIDE, Catalogue, Corners
from synth.errors import SourceError, UnreadableError
from synth.text import plural, some

_NAMED = 10
_CUT = "boxes that reach beyond their image are cut off at its edges"
_FLAT = "boxes without any area are left out"


class FaultError(Exception):
    """What is wrong with one entry, in words that follow its name: "has no name"."""


class Faults:
    """The faults of one data set.

    Args:
        where: what it is called in messages.
        skip: whether entries with faults are left out.
    """

    def __init__(self, where: Path, *, skip: bool) -> None:
        self._where, self._skip = where, skip
        self._faults: list[tuple[str, str]] = []
        self._mended: dict[str, list[str]] = {}

    def add(self, entry: str, what: str) -> None:
        """An entry that cannot be used."""
        # File names may hold bytes that are no text, and messages may not.
        self._faults.append((_shown(entry), _shown(what)))

    def mend(self, entry: str, what: str) -> None:
        """Entries such as this one, told together, can be used all the same, or mean nothing."""
        self._mended.setdefault(what, []).append(entry)

    def unsafe(self, entry: str, what: str) -> SourceError:
        """The error for an entry for which nothing of the data set is used."""
        return SourceError(f"{self._where}: {entry} {what}.")

    def source(
        self,
        spec: str,
        catalogue: Catalogue,
        files: Sequence[ImageFile],
        notes: Sequence[str] = (),
        *,
        nothing: str,
    ) -> AnnotatedSource:
        """The source of what was read, with notes on what was mended and left out.

        Raises SourceError where there are faults that are not to be left out, or ``nothing`` without files.
        """
        notes = [*notes, *self._settled()]
        if not files:
            raise SourceError(nothing)
        return AnnotatedSource(
            spec=spec,
            files=files,
            catalogue=catalogue,
            notes=notes,
            faults=tuple(self._faults),
            skip_unreadable=self._skip,
        )

    def _settled(self) -> list[str]:
        told = [f"{entry} {what}" for entry, what in self._faults]
        if self._faults and not self._skip:
            raise SourceError(
                f"{plural(len(self._faults), 'fault')} in {self._where}: {some(told, _NAMED)}. Mend "
                "them, or leave such entries out with --skip-unreadable."
            )
        notes = [f"{what} ({len(entries):,}): {some(entries, 3)}" for what, entries in self._mended.items()]
        if self._faults:
            count = f"{len(self._faults):,} faulty {'entry' if len(self._faults) == 1 else 'entries'}"
            notes.append(f"{count} left out: {some(told, _NAMED)}")
        return notes

    @contextmanager
    def of(self, entry: str) -> Iterator[None]:
        """A FaultError or UnreadableError in here is a fault of this entry."""
        try:
            yield
        except (FaultError, UnreadableError) as error:
            self.add(entry, str(error))

    def box(self, entry: str, corners: Corners, height: int, width: int) -> Corners | None:
        """The part of a box that is inside of an image of that size; None, and a note, for one without area.

        Raises FaultError for boxes that are not numbers, inverted, or outside.
        """
        left, top, right, bottom = corners
        if not all(map(math.isfinite, corners)):
            raise FaultError(f"has a box that is not four numbers ({left}, {top}, {right}, {bottom})")
        span = f"from {left:g}, {top:g} to {right:g}, {bottom:g}"
        if right < left or bottom < top:
            raise FaultError(f"has an inverted box, {span}")
        if right < 0 or bottom < 0 or left > width or top > height:
            raise FaultError(f"has a box outside of its {width} x {height} image, {span}")
        inside = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
        known = np.asarray(inside, dtype=np.float32)
        if (known[2:] - known[:2]).min() < LEAST_SIDE:
            self.mend(entry, _FLAT)
            return None
        if max(abs(one - other) for one, other in zip(inside, corners, strict=True)) > LEAST_SIDE:
            self.mend(entry, _CUT)  # less is the rounding of files
        return inside


def _shown(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def is_number(value: object) -> bool:
    """A finite number, as JSON has them, and not beyond what float64 holds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_inside(name: str) -> bool:
    """Whether a file name from a data set stays inside of its folder on any system."""
    path = PurePosixPath(name)
    return bool(
        path.parts
        and not path.is_absolute()
        and ".." not in path.parts
        and not any(letter in name for letter in ("\\", "\0"))
        and ":" not in path.parts[0]
    )
