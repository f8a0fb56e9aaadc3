"""A pipeline of augmentation that a server runs, used as one that runs here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from synth.augment import Samples, Specification
from synth.augment.keys import sample_words
from synth.batch import Batch
from synth.client.parts import as_asked, image_files, last_axis, part_size
from synth.client.remote import Remote
from synth.client.transport import Connecting, ServerError
from synth.client.wire import read_batch
from synth.errors import ConfigError, NotFoundError, SourceError, SynthError
from synth.randomness import check_seed

_PATH = "/v1/images/augmentations"
_TOO_LARGE = 413


class RemotePipeline(Remote):
    """``synth.augment.Pipeline``, run by a server: the same samples give the same results. For any thread.

    Large batches are sent in parts, smaller ones where the server says that the results are too large, unless
    the pipeline mixes: then the samples of one call are each other's partners. Where the server is busy (429,
    503) or the connection breaks, a part is sent again.
    """

    def __init__(
        self,
        url: str,
        pipeline: str | Path | Mapping[str, Any] | Specification,
        *,
        seed: int = 0,
        **connecting: Unpack[Connecting],
    ) -> None:
        """Have the server check the pipeline; models in it are those of its store.

        Args:
            url: of the server, as in ``http://127.0.0.1:8000``.
            pipeline: a file, plain values, a specification; or a name or digest that the server knows.
            seed: as in ``Pipeline``.
            connecting: see ``RemoteModel``.

        Raises ConfigError, UsageError, UnreachableError, NotFoundError, and what else the server may answer.
        """
        self.seed = check_seed(seed)
        said = _text(pipeline)
        super().__init__(url, **connecting)
        try:
            told = self._tell(said)
        except BaseException:
            self.close()
            raise
        self.digest: str = told["digest"]
        """Of the specification."""
        self.specification: Mapping[str, Any] = told["specification"]
        """With every default and version filled in, and models as the server has them."""

    def run(self, samples: Samples, epoch: int = 0, *, classes: int | None = None) -> Samples:
        """As ``Pipeline.run``, made by the server.

        Args:
            samples: grey or RGB images, with labels or without.
            epoch: as there.
            classes: how many there are, where the pipeline mixes samples that have labels and not the names
                of their classes. Their partners are the samples themselves.

        Raises SourceError for samples with boxes, masks or points, with transparency, or with shares of
        classes already; and what ``Pipeline.run`` raises, as far as the server tells it.
        """
        _check(samples)
        pixels = last_axis(samples.images)
        shared = self._form(samples, epoch, classes)
        mixes = bool(self.specification.get("batch"))
        made: list[Batch] = []
        size = len(samples) if mixes else part_size(pixels[0].size)
        first = 0
        while first < len(samples):
            rows = slice(first, first + size)
            try:
                made.append(self._part(shared, samples, pixels, rows))
                first += size
            except SynthError as error:
                if error.status != _TOO_LARGE or size == 1 or mixes:
                    raise
                # How large results are is for the server to know.
                size //= 2
        labels = [batch.labels for batch in made if batch.labels is not None]
        return Samples(
            torch.cat([batch.images for batch in made]),
            samples.ids,
            torch.cat(labels) if labels else None,
            classes=samples.classes,
        )

    def _opened_by(self) -> tuple[Mapping[str, Any], dict[str, Any]]:
        return self.specification, {"seed": self.seed}

    def _part(self, shared: Mapping[str, str], samples: Samples, pixels: np.ndarray, rows: slice) -> Batch:
        ids = samples.ids[rows]
        form = {**shared, "ids": json.dumps([one if isinstance(one, str) else int(one) for one in ids])}
        if samples.labels is not None:
            form["labels"] = json.dumps(samples.labels[rows].tolist())
        return self._ask(form, image_files(pixels[rows]), len(ids))

    def _form(self, samples: Samples, epoch: int, classes: int | None) -> dict[str, str]:
        form = {
            "seed": str(self.seed),
            "epoch": str(epoch),
            "channels": str(samples.images.shape[1]),
            "format": "npz",
        }
        if samples.classes is not None:
            form["classes"] = json.dumps(list(samples.classes))
        elif classes is not None:
            form["classes"] = str(classes)
        return form

    def _ask(self, form: Mapping[str, str], files: list[Any], count: int) -> Batch:
        try:
            answer = self._transport.send("POST", _PATH, data={**form, "pipeline": self.digest}, files=files)
        except NotFoundError:
            # It has been started anew since, or was sent many others.
            if self._tell(json.dumps(self.specification))["digest"] != self.digest:
                raise ServerError(f"{self._transport.url} reads the pipeline in another way now.") from None
            answer = self._transport.send("POST", _PATH, data={**form, "pipeline": self.digest}, files=files)
        batch = read_batch(answer.content, translated=True)
        if batch.fingerprint.digest != self.digest:
            raise ServerError(f"{self._transport.url} used another pipeline than the one asked for.")
        return as_asked(self._transport, batch, self.seed, 0, count)

    def _tell(self, said: str) -> Mapping[str, Any]:
        answer = self._transport.json("/v1/pipelines", "POST", json={"pipeline": said})
        if not {"digest", "specification"} <= answer.keys():
            raise ServerError(f"{self._transport.url} did not answer with a pipeline: is that synth?")
        return answer


def _check(samples: Samples) -> None:
    for name in ("boxes", "masks", "points"):
        if getattr(samples, name) is not None:
            raise SourceError(f"A server takes images and labels, and these have {name}: run it here.")
    images: Tensor = samples.images
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or not images.numel():
        raise SourceError(
            "A server takes uint8 [N, C, H, W], grey or RGB, not "
            f"{str(images.dtype).removeprefix('torch.')} {[*images.shape]}. Run it here for transparency."
        )
    if len(samples.ids) != len(images):
        raise SourceError(f"{len(samples.ids)} ids were given for {len(images)} images.")
    sample_words(samples.ids)
    if samples.labels is not None and (samples.labels.ndim != 1 or samples.labels.is_floating_point()):
        raise SourceError("A server takes labels that are class numbers, not shares. Run it here for those.")


def _text(pipeline: str | Path | Mapping[str, Any] | Specification) -> str:
    """What the server is told."""
    if isinstance(pipeline, Specification):
        return json.dumps(pipeline.plain())
    if isinstance(pipeline, Mapping):
        return json.dumps(dict(pipeline))
    path = Path(pipeline)
    if isinstance(pipeline, str) and path.suffix not in (".yaml", ".yml", ".json"):
        return pipeline
    try:
        return path.read_text()
    except OSError as error:
        raise ConfigError(f"Cannot read the pipeline {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is neither YAML nor JSON: {error}.") from error
