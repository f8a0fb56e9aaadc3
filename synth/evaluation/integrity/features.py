"""Features of a source's images, and which of them are all but equal."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from synth.data import Source, load_images
from synth.data.forest import Forest
from synth.errors import SourceError, UsageError
from synth.evaluation.extractor import Extractor

_BLOCK = 2_048


def open_encoder(spec: str) -> Extractor:
    """The extractor that ``spec`` names; see ``synth.evaluation.extractors``."""
    from synth.evaluation.extractors import open_extractor

    extractor: Extractor = open_extractor(spec)
    return extractor


def features_of(source: Source, extractor: Extractor, size: tuple[int, int] | None = None) -> Tensor:
    """float32 [N, D] of all samples, in the source's order.

    Images are brought to one ``size`` (height, width); by default to their own where that is one for all.

    Raises SourceError where they differ in size and none is given, or the extractor does not take them.
    """
    return check_features(extractor.features(load_images(source, size=size).images))


def check_features(features: Tensor) -> Tensor:
    """The features themselves; UsageError where they are not finite float [N, D]."""
    if features.ndim != 2 or not bool(torch.isfinite(features).all()):
        raise UsageError(
            f"Features must be finite numbers [N, D]; these are {list(features.shape)} with "
            f"{int((~torch.isfinite(features)).sum()):,} that are not finite. Use another encoder."
        )
    return features.float()


def feature_links(features: Tensor, similarity: float) -> np.ndarray:
    """int64 [M, 2]: pairs (i < j) whose cosine is ``similarity`` or more, enough to link all that are (a
    forest)."""
    unit = torch.nn.functional.normalize(features, dim=1)
    forest = Forest(len(unit))
    for top in range(0, len(unit), _BLOCK):
        for left in range(top, len(unit), _BLOCK):
            rows, columns = torch.nonzero(
                unit[top : top + _BLOCK] @ unit[left : left + _BLOCK].T >= similarity, as_tuple=True
            )
            pairs = np.stack([rows.numpy() + top, columns.numpy() + left], axis=1)
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
            forest.add(pairs[forest.root[pairs[:, 0]] != forest.root[pairs[:, 1]]])
    return forest.links()


def feature_matches(features: Tensor, others: Tensor, similarity: float) -> np.ndarray:
    """int64 [N]: for each of ``features`` the most similar of ``others``, -1 where none reaches
    ``similarity``."""
    a, b = (torch.nn.functional.normalize(each, dim=1) for each in (features, others))
    if a.shape[1] != b.shape[1]:
        raise UsageError(f"Features of {a.shape[1]} and {b.shape[1]} dimensions cannot be compared.")
    if not len(b):
        raise SourceError("There is nothing to compare with: the other source is empty.")
    best = [(block @ b.T).max(dim=1) for block in torch.split(a, _BLOCK)]
    values, places = torch.cat([one.values for one in best]), torch.cat([one.indices for one in best])
    found: np.ndarray = torch.where(values >= similarity, places, -1).numpy()
    return found
