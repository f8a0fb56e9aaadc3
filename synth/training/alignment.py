"""What brings the features of two domains together, and how well that went without a label of the second.

reverse_gradient    the gradient-reversal layer of DANN (Ganin et al., arXiv 1505.07818)
coral               the distance of covariances (Sun and Saenko, "Deep CORAL", arXiv 1607.01719)
conditioned         features under the predicted class (Long et al., CDAN, arXiv 1705.10667)
entropy             of predictions (Grandvalet and Bengio, NIPS 2004)
information         what predictions say of the images (Bridle et al., NIPS 1991)
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None


def reverse_gradient(x: Tensor, strength: float) -> Tensor:
    """The same values; on the way back the gradient, times minus ``strength``."""
    return cast(Tensor, _Reversal.apply(x, strength))


def reversal_strength(progress: float, speed: float = 10.0) -> float:
    """From 0 to 1 as training progresses from 0 to 1: lambda_p of Ganin et al., section 5.2.2."""
    return 2.0 / (1.0 + math.exp(-speed * progress)) - 1.0


def annealed(rate: float, progress: float) -> float:
    """The learning rate mu_p of Ganin et al., section 5.2.2: rate / (1 + 10 p)^0.75."""
    return rate / float((1.0 + 10.0 * progress) ** 0.75)


def domain_loss(source: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of logits [N] and [M]: the source is 1 and the target 0, each half of the loss."""
    return 0.5 * (F.softplus(-source).mean() + F.softplus(target).mean())


def coral(source: Tensor, target: Tensor) -> Tensor:
    """Squared Frobenius distance of the covariances of [N, D] and [M, D], over 4 D^2; N and M from 2."""
    apart = torch.cov(source.float().T) - torch.cov(target.float().T)
    return apart.square().sum() / (4.0 * source.shape[1] ** 2)


def conditioned(features: Tensor, logits: Tensor) -> Tensor:
    """[N, K D]: features [N, D] times the probability of each of K classes, which gets no gradient."""
    probabilities = logits.detach().softmax(dim=1)
    return (probabilities[:, :, None] * features[:, None, :]).flatten(1)


def entropy(logits: Tensor) -> Tensor:
    """Mean entropy in nats of the predictions of logits [N, K]."""
    return -(logits.softmax(dim=1) * logits.log_softmax(dim=1)).sum(dim=1).mean()


def information(probabilities: Tensor) -> float:
    """What predictions [N, K] tell, 0 to 1: 1 where all are certain and all classes equally frequent.

    The mutual information of image and class, in units of log K: entropy of the mean less mean of the
    entropies. It needs no labels; and it sees a collapse onto one class, which entropy alone praises.
    """
    p = probabilities.double()
    mean = p.mean(dim=0)
    gained = torch.special.entr(mean).sum() - torch.special.entr(p).sum(dim=1).mean()
    return max(0.0, float(gained) / math.log(p.shape[1]))


def domain_network(dimensions: int, hidden: int) -> nn.Module:
    """Three dense layers from features to the logit of "source", as Ganin et al. have them for digits."""
    return nn.Sequential(
        nn.Linear(dimensions, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, 1),
    )
