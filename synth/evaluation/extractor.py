"""An extractor: the network whose features images are compared in."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Extractor(Protocol):
    """Maps images to features. Figures are comparable only under the same ``digest``, which reports print."""

    @property
    def name(self) -> str:
        """For people: ``encoder mine@3``, ``efficientnet-lite0``, ``random network``."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256, hexadecimal, of everything that decides the features."""
        ...

    @property
    def dimensions(self) -> int:
        """D of the features."""
        ...

    def features(self, images: Tensor) -> Tensor:
        """float32 [N, D] on the CPU, of uint8 [N, C, H, W]; in batches of its own, in any number.

        Raises SourceError where the images are of a shape that it does not take.
        """
        ...
