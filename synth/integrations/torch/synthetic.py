"""Real and synthetic images in one stream, at a ratio."""

from __future__ import annotations

from collections import abc
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synth.ahead import ahead
from synth.augment import Pipeline
from synth.batch import Batch, Mode
from synth.errors import SourceError, UsageError
from synth.integrations.augmenter import Augmenter, collate
from synth.integrations.class_map import ClassMap
from synth.integrations.models import Model
from synth.integrations.originals import Classes, Data, Ids, originals_of
from synth.integrations.targets import Original
from synth.integrations.torch.keyed import KeyedStream
from synth.integrations.turns import Turns, check_whole, find_rank
from synth.randomness import MAX_INDEX, check_seed, permutation, stream_id
from synth.sampling.generator import Generator

_SLOTS = stream_id("integrations:slots")


class SynthStream(KeyedStream):
    """Batches of real and synthetic images, for ``DataLoader(stream, batch_size=None, num_workers=...)``.

    Batches are images uint8 [N, C, H, W] or pairs of them and their labels, see ``collate``. Which slots of
    an epoch are synthetic, their seed, index and label, and which real images the others hold, follow from
    ``seed`` and the epoch alone: not from workers or ranks, which share the slots out, nor from when images
    arrive. All real images come once an epoch. A thread has the model make the next batches while the last
    ones are used.

    As ``as_stream``, it is told each epoch, and goes on where it was with ``load_state_dict``. What a server
    cannot give is raised in the loop, from where the same state goes on.
    """

    def __init__(
        self,
        real: Data,
        model: Generator | str | Path,
        *,
        share: float,
        batch_size: int,
        pipeline: Pipeline | None = None,
        labels: str | Sequence[str] = "any",
        names: Mapping[str, str] | None = None,
        parameters: Mapping[str, float | str] | None = None,
        mode: Mode = "fast",
        fresh: bool = True,
        seed: int = 0,
        rank: int | None = None,
        world: int | None = None,
        drop_last: bool = False,
        ids: Ids = "content",
        classes: Classes = None,
        channels: int | None = None,
        device: str = "auto",
        depth: int = 2,
        mark: bool = False,
    ) -> None:
        """Nothing is made before the first batch is asked for.

        Args:
            real: a source or a map-style data set, as in ``as_torch``; its targets are numbers of classes,
                or none.
            model: a ``Sampler``, a ``RemoteModel``, or a reference to a model of the store. Each worker opens
                one of its own.
            share: of synthetic images in an epoch, from 0 and below 1.
            batch_size: images of a batch; those that are synthetic are one request.
            pipeline: augmentation of all images; partners of mixing operations are real ones.
            labels: ``any``, ``balanced``, or names of classes of ``real`` to make in turn. Where the model
                has no classes and ``real`` has, the one that all its images are of.
            names: class of ``real`` by class of the model, where their names differ.
            parameters, mode: see ``Sampler.generate``.
            fresh: other synthetic images in each epoch; False: the same ones.
            seed: 0 to 2**64 - 1, of the slots and of the synthetic images.
            rank, world, drop_last, ids, classes: see ``as_stream``.
            channels: of all images; None: those of the model's.
            device: for a reference: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            depth: batches that are made ahead, from 1.
            mark: let batches be (images, labels, synthetic), the last bool [N]; without classes (images,
                synthetic).

        Raises UsageError for arguments that do not fit, LabelError for classes that do not.
        """
        originals = originals_of(real, ids, classes)
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share < 1:
            raise UsageError(f"share is a number from 0 and below 1, not {share!r}.")
        self._model = Model(model, device)
        card = self._model.card
        self._map = ClassMap(card, originals.classes, labels, names)
        self._augmenter = Augmenter(originals, pipeline, channels or card.image.channels)
        self._real = len(originals)
        self._made = round(self._real * share / (1 - share))
        turns = Turns(self._real + self._made, batch_size, *find_rank(rank, world), drop_last)
        self._parameters = dict(parameters or {})
        super().__init__(
            turns,
            {
                "seed": check_seed(seed),
                "model": card.digest,
                "synthetic": self._made,
                "fresh": fresh,
                "labels": labels if isinstance(labels, str) else list(labels),
                "names": None if names is None else dict(names),
                "parameters": {name: _plain(value) for name, value in self._parameters.items()},
                "mode": mode,
                **self._augmenter.what,
            },
        )
        self._seed, self._mode, self._fresh = seed, mode, fresh
        self._depth = check_whole("depth", depth, 1)
        self._mark = mark

    def batches(self, spans: list[tuple[int, int]], epoch: int) -> abc.Generator[Any, None, None]:
        slots = permutation(self._seed, epoch, _SLOTS, self._turns.count)
        synthetic = slots >= self._real
        before = np.concatenate([[0], np.cumsum(synthetic)])
        base = epoch * self._made if self._fresh else 0
        if base + self._made > MAX_INDEX:
            raise UsageError(
                f"Epoch {epoch} is beyond the last index of synthetic images: take another seed."
            )

        def make(span: tuple[int, int]) -> Batch | None:
            first, end = (base + int(before[place]) for place in span)
            return self._generate(first, end - first) if end > first else None

        with closing(ahead(make, spans, self._depth)) as made:
            for (first, end), batch in zip(spans, made, strict=True):
                chosen = synthetic[first:end]
                yield self._together(slots[first:end], chosen, batch, epoch)

    def _generate(self, start: int, count: int) -> Batch:
        card = self._model.card
        try:
            return self._model.get().generate(
                count,
                labels=self._map.asked(start, count),
                seed=self._seed,
                start=start,
                mode=self._mode,
                **self._parameters,
            )
        except Exception as error:
            error.add_note(
                f"SynthStream wanted the images {start} to {start + count - 1} of {card.reference}, seed "
                f"{self._seed}."
            )
            raise

    def _together(self, slots: np.ndarray, synthetic: np.ndarray, batch: Batch | None, epoch: int) -> Any:
        made = iter(() if batch is None else self._originals(batch))
        rows = [
            next(made) if chosen else self._labelled(self._augmenter.originals[int(slot)])
            for slot, chosen in zip(slots, synthetic, strict=True)
        ]
        whole = collate(self._augmenter.of(rows, epoch))
        if not self._mark:
            return whole
        return (*(whole if isinstance(whole, tuple) else (whole,)), torch.from_numpy(synthetic.copy()))

    def _originals(self, batch: Batch) -> list[Original]:
        """Keyed by what made them: pixels may differ by a level from one machine to another."""
        card = self._model.card
        numbers: Sequence[int | None] = self._map.numbers(batch) or [None] * len(batch)
        return [
            Original(image, f"{card.digest}:{batch.seed}:{index}", target=number, label=number)
            for image, index, number in zip(batch.images.cpu(), batch.index.tolist(), numbers, strict=True)
        ]

    def _labelled(self, original: Original) -> Original:
        if original.target is not None and not isinstance(original.label, int):
            raise SourceError(
                f"Sample {original.id} has a target of {type(original.target).__name__}: real images beside "
                "synthetic ones have the number of their class, or nothing."
            )
        if original.target is not None and self._augmenter.originals.classes is None:
            raise UsageError(
                "The real images have labels and it is not known of which classes: give 'classes'."
            )
        return original


def _plain(value: float | str) -> float | str:
    """Numbers of numpy and the like as those of JSON."""
    return value if isinstance(value, (str, int)) else float(value)
