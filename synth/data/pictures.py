"""Single picture files, as parameters of requests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from synth.data.decode import decode
from synth.errors import NotFoundError, UnreadableError


def read_pictures(paths: Sequence[Path]) -> list[np.ndarray]:
    """Canonical pixels of each file.

    Raises NotFoundError where there is no such file, UnreadableError where it is no picture; both name it.
    """
    return [_read(path.expanduser()) for path in paths]


def _read(path: Path) -> np.ndarray:
    if not path.is_file():
        raise NotFoundError(f"There is no picture {path}.")
    try:
        return decode(path).pixels
    except UnreadableError as error:
        raise UnreadableError(f"{path} {error}. Give a PNG, JPEG or WebP file.") from None
