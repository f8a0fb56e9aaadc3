"""What a training tells its user while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Reporter(Protocol):
    """Receives notes and progress; the command line shows them, a job stores them."""

    def note(self, text: str) -> None:
        """One line that the user should read."""

    def progress(self, share: float, images_seen: int, seconds: float, figures: Mapping[str, float]) -> None:
        """Called a few times a second at most; ``share`` is 0 to 1."""


class Silent:
    """Tells nothing."""

    def note(self, text: str) -> None:
        """Ignored."""

    def progress(self, share: float, images_seen: int, seconds: float, figures: Mapping[str, float]) -> None:
        """Ignored."""
