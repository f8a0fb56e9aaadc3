"""Images between two, by a variational autoencoder: their latents are mixed, and so are their classes."""

from __future__ import annotations

import torch
from torch import Tensor

from synth.models.program import NoiseSpec, PictureParameter, State, Values
from synth.models.vae import VAEProgram

OTHERS = "others"


class BetweenProgram:
    """Decodes weighted means of latents (DeVries and Taylor, "Dataset augmentation in feature space",
    arXiv 1702.05538), under equally weighted means of what classes change.

    The other image of each row comes as a row of ``given``, see ``pack``.
    """

    noise: tuple[NoiseSpec, ...] = ()
    parameters = (PictureParameter(OTHERS, "the other images, their classes and weights"),)

    def __init__(self, own: VAEProgram) -> None:
        self.network = own.network

    def steps(self, parameters: Values) -> int:
        return 1

    def begin_from(self, images: Tensor, noise: Values, labels: Tensor | None, parameters: Values) -> State:
        classes = self.network.classes
        given = parameters[OTHERS]
        if not isinstance(given, Tensor):  # when the core measures itself: each row with itself
            shares = images.new_ones(len(images), classes) / max(classes, 1)
            given = pack(images.new_ones(len(images)), (images + 1.0) * 127.5, shares, shares)
        weight, rest = given[:, :1], given[:, 1:]
        own, other = rest[:, : 2 * classes].chunk(2, dim=1) if classes else (None, None)
        others = rest[:, 2 * classes :].reshape(images.shape).to(images.dtype) / 127.5 - 1.0
        z, z_other = (self.network.encoder(*pair)[0] for pair in ((images, own), (others, other)))
        state = {"z": weight * z + (1.0 - weight) * z_other}
        if own is not None and other is not None:
            state["shares"] = weight * own + (1.0 - weight) * other
        return state

    def step(self, i: int, state: State, labels: Tensor | None, parameters: Values) -> State:
        dtype = self.network.decoder.enter.weight.dtype
        return {"image": self.network.decoder(state["z"].to(dtype), state.get("shares"))}

    def image(self, state: State) -> Tensor:
        return state["image"].clamp(-1.0, 1.0)


def pack(weight: Tensor, others: Tensor, own_shares: Tensor, other_shares: Tensor) -> Tensor:
    """float32 [N, D] for ``given``: weights [N] of the row's own image, the other images [N, C, H, W] of 0 to
    255, and the shares of classes of both, [N, K] each; K is 0 for a model without classes."""
    return torch.cat([weight[:, None].float(), own_shares, other_shares, others.float().flatten(1)], dim=1)
