"""The classes of synthetic images, in the numbers of the real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from synth.artifacts import ModelCard
from synth.batch import Batch
from synth.errors import LabelError
from synth.labels import Labels
from synth.text import closest, some


class ClassMap:
    """Which labels a model is asked for, and which numbers they have in a data set.

    Args:
        card: of the model.
        classes: names of the data set's classes; None: its images have no labels, nor have those of the
            stream.
        labels: ``any`` (as often as in the model's training data), ``balanced``, or names of classes of the
            data set, in turn.
        names: class of the data set by class of the model, where their names differ.

    Raises LabelError for classes that are not there, or not known to be the same.
    """

    def __init__(
        self,
        card: ModelCard,
        classes: tuple[str, ...] | None,
        labels: str | Sequence[str],
        names: Mapping[str, str] | None,
    ) -> None:
        self._asked: tuple[int, ...] | None = None
        self._word: Labels = "any"
        self._numbers: Tensor | None = None
        self._constant: int | None = None
        if classes is None:
            return
        if card.classes is None:
            self._constant = _of_one_class(card, classes, labels)
            return
        called = {name: (names or {}).get(name, name) for name in card.classes}
        unknown = sorted({*(names or {})} - {*card.classes})
        if unknown:
            raise LabelError(
                f"{card.reference} has no class {unknown[0]!r}{closest(unknown[0], card.classes)} to give "
                f"another name. Its classes: {some(card.classes, 20)}."
            )
        self._numbers = torch.tensor([_number(called[name], classes) for name in card.classes])
        wanted = [labels] if isinstance(labels, str) else list(labels)
        if wanted in (["any"], ["balanced"]):
            missing = [name for name in card.classes if called[name] not in classes]
            if missing:
                raise LabelError(
                    f"{card.reference} makes {some(missing, 5)}, and the data set has no such class: it has "
                    f"{some(classes, 20)}. Say by 'names' which are the same, or by 'labels' which to make."
                )
            self._word = wanted[0]
            return
        of_model = {name: number for number, name in enumerate(called.values())}
        strange = [name for name in wanted if name not in of_model or name not in classes]
        if strange or not wanted:
            raise LabelError(
                f"{card.reference} cannot make {some(strange, 5) or 'no class at all'} of the data set. "
                f"Both know: {some([name for name in of_model if name in classes], 20) or 'nothing'}."
            )
        self._asked = tuple(of_model[name] for name in wanted)

    def asked(self, start: int, count: int) -> Labels:
        """What to ask the model for, for so many indices from ``start`` on."""
        if self._asked is None:
            return self._word
        return [self._asked[index % len(self._asked)] for index in range(start, start + count)]

    def numbers(self, batch: Batch) -> list[int] | None:
        """The number of each image's class in the data set; None where there are no classes."""
        if self._constant is not None:
            return [self._constant] * len(batch)
        if self._numbers is None or batch.labels is None:
            return None
        found: list[int] = self._numbers[batch.labels].tolist()
        return found


def _of_one_class(card: ModelCard, classes: tuple[str, ...], labels: str | Sequence[str]) -> int:
    """Of a model without classes."""
    name = labels if isinstance(labels, str) else (labels[0] if len(labels) == 1 else "")
    if name not in classes:
        raise LabelError(
            f"{card.reference} has no classes, and the data set has: {some(classes, 20)}. Say by 'labels' "
            "of which one of them all its images are."
        )
    return classes.index(name)


def _number(name: str, classes: tuple[str, ...]) -> int:
    return classes.index(name) if name in classes else -1
