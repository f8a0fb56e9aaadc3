"""Attacks by the gradient of the classifier's loss with respect to the pixels.

What becomes of an image follows from itself, its label and its key. The network is evaluated whatever its
mode is, and left as it was; under ``torch.autocast`` gradients are those of the lower precision.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synth.augment.adversarial.rest import at_rest
from synth.augment.adversarial.threat import ThreatModel
from synth.errors import ConfigError, UsageError

Loss = Literal["cross_entropy", "margin"]


def fgsm(
    network: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    *,
    step_size: float | None = None,
    keys: Tensor | None = None,
    loss: Loss = "cross_entropy",
) -> Tensor:
    """One step along the sign of the gradient (Goodfellow et al., arXiv 1412.6572), or for l2 along itself.

    Args:
        network: logits [N, K] of what ``threat.inputs`` gives.
        pixels: float32 [N, C, H, W] of 0 to 1, see ``ThreatModel.pixels``.
        labels: int64 [N], or shares of classes, float32 [N, K].
        step_size: in pixels of 0 to 1; by default ``eps``, and 1.25 ``eps`` from a random start.
        keys: int64 [N]: begin at random places of the ball (Wong et al., arXiv 2001.03994); None: at
            ``pixels``.
        loss: what is raised, see ``pgd``.

    Returns:
        float32 [N, C, H, W] within the ball; ``ThreatModel.images`` makes images of it.

    Raises ConfigError for a step of no size, and UsageError for labels or keys of another number.
    """
    _check(pixels, labels, keys, loss, step_size, steps=1, restarts=1)
    if not len(pixels):
        return pixels.clone()
    step = (1.0 if keys is None else 1.25) * threat.radius(pixels) if step_size is None else step_size
    with at_rest(network):
        return _climb(network, pixels.clone(), labels.clone(), threat, 1, step, keys, 0, loss)


def pgd(
    network: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    *,
    steps: int = 10,
    step_size: float | None = None,
    restarts: int = 1,
    keys: Tensor | None = None,
    loss: Loss = "cross_entropy",
    originals: Tensor | None = None,
) -> Tensor:
    """Projected gradient ascent of the loss (Madry et al., arXiv 1706.06083), each step as in ``fgsm``.

    Args:
        network, pixels, labels, keys: as of ``fgsm``.
        step_size: in pixels of 0 to 1; by default 2.5 ``eps / steps``.
        restarts: random starts; of each image the outcome that fools with the greatest loss, or failing that
            the one with the greatest loss, is taken.
        loss: ``cross_entropy``, or ``margin`` of the best wrong class over the right one, whose gradient
            stays where a network is certain (Carlini and Wagner, arXiv 1608.04644).
        originals: uint8 [N, C, H, W], where ``ThreatModel.images`` is to make images near these: of restarts,
            the one is taken whose image fools, which its pixels may do and their rounding not.

    Returns:
        float32 [N, C, H, W] within the ball.

    Raises ConfigError for counts below 1, a step of no size, or restarts without keys, and UsageError for
    labels or keys of another number.
    """
    _check(pixels, labels, keys, loss, step_size, steps, restarts)
    if not len(pixels):
        return pixels.clone()
    step = 2.5 * threat.radius(pixels) / steps if step_size is None else step_size
    with at_rest(network):
        # What was made within inference mode takes no part in gradients.
        origin, labels = pixels.clone(), labels.clone()
        best = _climb(network, origin, labels, threat, steps, step, keys, 0, loss)
        if restarts == 1:
            return best

        def merit_of(place: Tensor) -> Tensor:
            shown = place if originals is None else threat.images(place, originals).to(place.dtype) / 255
            return _merit(network, shown, labels, threat, loss)

        merit = merit_of(best)
        for number in range(1, restarts):
            found = _climb(network, origin, labels, threat, steps, step, keys, number, loss)
            other = merit_of(found)
            better = other > merit
            best = torch.where(better.reshape(-1, 1, 1, 1), found, best)
            merit = torch.where(better, other, merit)
        return best


def _climb(
    network: nn.Module,
    origin: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    steps: int,
    step: float | Tensor,
    keys: Tensor | None,
    number: int,
    loss: Loss,
) -> Tensor:
    place = origin if keys is None else threat.start(origin, keys, number)
    for step_number in range(steps):
        place = place.detach().requires_grad_(True)
        logits = network(threat.inputs(place))
        if step_number == 0:
            check_classes(labels, logits.shape[1])
        total = losses(logits, labels, loss).sum()
        (gradient,) = torch.autograd.grad(total, place)
        place = threat.project(place.detach() + step * threat.ascent(gradient), origin)
    return place


def losses(logits: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """float32 [N] of logits [N, K]."""
    logits, labels = logits.float(), labels.to(logits.device)
    if loss == "cross_entropy":
        return F.cross_entropy(logits, labels, reduction="none")
    right = F.one_hot(hardest(labels), logits.shape[1]).bool()
    return logits.masked_fill(right, -torch.inf).amax(1) - logits[right]


def hardest(labels: Tensor) -> Tensor:
    """int64 [N]: the class of the greatest share, where labels are shares."""
    return labels.argmax(1) if labels.is_floating_point() else labels


@torch.no_grad()
def _merit(network: nn.Module, place: Tensor, labels: Tensor, threat: ThreatModel, loss: Loss) -> Tensor:
    """float64 [N]: the loss; that of images that fool lies above that of all others."""
    logits = network(threat.inputs(place)).float()
    fooled = logits.argmax(1) != hardest(labels).to(logits.device)
    return losses(logits, labels, loss).double() + torch.where(fooled, 1e6, 0.0)


def _check(
    pixels: Tensor,
    labels: Tensor,
    keys: Tensor | None,
    loss: str,
    step_size: float | None,
    steps: int,
    restarts: int,
) -> None:
    if loss not in get_args(Loss):
        raise ConfigError(f"There is no loss {loss!r} of an attack: use cross_entropy or margin.")
    if steps < 1 or restarts < 1:
        raise ConfigError(f"An attack has 1 step and 1 start at least, not {steps} and {restarts}.")
    if step_size is not None and not 0 < step_size < float("inf"):
        raise ConfigError(f"The step size of an attack is a positive number, not {step_size}.")
    if restarts > 1 and keys is None:
        raise ConfigError("Restarts begin at random places: give the attack the keys of the images.")
    for name, values in (("labels", labels), ("keys", keys)):
        if values is not None and len(values) != len(pixels):
            raise UsageError(
                f"An attack takes {name} for each of the {len(pixels)} images, not {len(values)}."
            )
    check_classes(labels)


def check_classes(labels: Tensor, count: int | None = None) -> None:
    """Raise UsageError for class numbers below 0, or from ``count`` on.

    -100 is what losses ignore: an image of it would be told to withstand every attack.
    """
    if labels.is_floating_point() or not len(labels):
        return
    least, most = int(labels.min()), int(labels.max())
    if least < 0 or (count is not None and most >= count):
        raise UsageError(
            f"The labels of an attack are classes of the network, from 0"
            f"{f' to {count - 1}' if count else ''}, and these go from {least} to {most}."
        )
