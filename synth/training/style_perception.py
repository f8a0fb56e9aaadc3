"""What content and style are told by: a frozen network, and the units that its maps are measured in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from synth.data import ImageSet
from synth.models.program import ImageShape
from synth.training.style_features import open_features, teach
from synth.training.style_losses import Units, feature_loss, moment_loss, similarity_loss

_CALIBRATED = 128
"""Images of each kind that units are measured on."""


class Perception(nn.Module):
    """Tells how far content and style of images are apart; float [N, C, H, W] in [-1, 1].

    A network from elsewhere is no part of the state: it is found again. One that is taught here is.
    """

    taught: Tensor

    def __init__(self, features: str, image: ImageShape, content: str) -> None:
        """``features`` as ``settle`` gives it; ``content`` is ``similarity`` or ``features``."""
        super().__init__()
        network = open_features(features, image)
        self._network = (network,)  # a tuple hides it from the state
        self.lessons = network if features == "trained" else None
        self.register_buffer("taught", torch.tensor(features != "trained"))
        self._stays = {"similarity": similarity_loss, "features": feature_loss}[content]
        self._units: Units | None = None

    def train(self, mode: bool = True) -> Self:
        """Whatever is trained around it, the network stays as it is used."""
        super().train(mode)
        self._network[0].eval()
        return self

    def learn(
        self, content: ImageSet, pictures: ImageSet, pieces: Tensor, *, seed: int, lessons: int
    ) -> None:
        """Teach the network, if that is still to be done, and measure the units; without effect later on.

        ``pieces`` are style images, float [N, C, H, W] of the content's size.
        """
        if self._units is not None:
            return
        if not self.taught:
            teach(self._network[0], content, pictures, seed=seed, images_seen=lessons)
            self.taught.fill_(True)
        shown = content.sample(_CALIBRATED).images.float() / 127.5 - 1.0
        self._units = Units.of(self._maps(torch.cat([shown.to(pieces), pieces[:_CALIBRATED]])))

    def terms(self, made: Tensor, content: Tensor, styles: Tensor) -> Mapping[str, Tensor]:
        """``content`` and ``style``, float32 [N] each: how far ``made`` is from both."""
        with torch.no_grad():
            known = self.maps(torch.cat([content, styles]))
        count = len(made)
        ours = self.maps(made)
        shown, painted = [one[:count] for one in known], [one[count:] for one in known]
        return {
            "content": self._stays(_told_by(ours), _told_by(shown)),
            # Pixels, too, are a map: of brightness and colour.
            "style": moment_loss([made, *ours], [styles, *painted]),
        }

    def maps(self, images: Tensor) -> list[Tensor]:
        """In their units, the finest first."""
        assert self._units is not None, "learn comes first"
        self._units = self._units.to(images.device)
        return self._units(self._maps(images))

    def _maps(self, images: Tensor) -> list[Tensor]:
        network = self._network[0].to(images.device)
        # In float32: the gradients of such narrow layers take longer in bfloat16 on CPUs.
        with torch.no_grad() if not images.requires_grad else torch.enable_grad(), _plain(images.device):
            maps: list[Tensor] = network(images.float().contiguous(memory_format=torch.channels_last))
        return maps


def _plain(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, enabled=False)


def _told_by(maps: Sequence[Tensor]) -> list[Tensor]:
    """Those that content is told by: at a half, a quarter and an eighth of the size, of as many."""
    return list(maps[1:4] or maps[-1:])
