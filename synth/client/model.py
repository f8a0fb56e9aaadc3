"""A model of a server as a ``synth.sampling.Generator``: what uses a sampler can use it instead."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Unpack

import numpy as np
from torch import Tensor

from synth.ahead import ahead
from synth.artifacts import ModelCard
from synth.batch import Batch, Mode
from synth.client.lookup import find, version
from synth.client.parts import as_asked, image_files, last_axis, parts, plain
from synth.client.remote import Remote
from synth.client.transport import Connecting, ServerError
from synth.client.wire import read_batch, read_card, read_parameters
from synth.data.png import encode_png
from synth.labels import Labels, normalise_labels, resolve_labels
from synth.models.program import AnyParameter, PictureParameter
from synth.randomness import MAX_INDEX, check_seed
from synth.sampling.generator import Images, Value
from synth.sampling.pictures import check_pictures, picture_parameter
from synth.sampling.requests import check_images, check_keys, check_parameters


class RemoteModel(Remote):
    """One version of a model of a server: the same keys make the same images as there. For any thread.

    Large requests are sent in parts. Where the server is busy (429, 503) or the connection breaks, a part is
    sent again, after as long as the server asks for.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        allow_label_drift: bool = False,
        **connecting: Unpack[Connecting],
    ) -> None:
        """Ask the server what the model is; a bare name means the version that it has now from here on.

        Args:
            url: of the server, as in ``http://127.0.0.1:8000``.
            model: NAME, NAME@latest, NAME@3 or NAME@ALIAS; None: the only one that the server has.
            allow_label_drift: take labels although a translator was not found to preserve them.
            connecting: ``key``, ``timeout_seconds``, ``retries`` and ``most_wait_seconds``, see
                ``synth.client.transport.Connecting``.

        Raises UnreachableError, NotFoundError, UsageError, and what else the server may answer.
        """
        super().__init__(url, **connecting)
        self._allow_label_drift = allow_label_drift
        try:
            told = find(self._transport, model)
            self._card = read_card(told)
        except BaseException:
            self.close()
            raise
        self._parameters: tuple[AnyParameter, ...] | None = None
        self._any_size = False
        self._learn(told)

    def _opened_by(self) -> tuple[str, dict[str, Any]]:
        return self._card.reference, {"allow_label_drift": self._allow_label_drift}

    @property
    def card(self) -> ModelCard:
        """Name, version, image shape, classes and origin of the model."""
        return self._card

    @property
    def parameters(self) -> tuple[AnyParameter, ...]:
        """The sampling parameters that the model takes; the server loads it to know them."""
        if self._parameters is None:
            self._learn(self._loaded())
        assert self._parameters is not None
        return self._parameters

    @property
    def any_size(self) -> bool:
        """Whether it translates images of any size; the server loads it to know that."""
        if self._parameters is None:
            self._learn(self._loaded())
        return self._any_size

    def generate(
        self,
        count: int,
        *,
        labels: Labels = "any",
        seed: int = 0,
        start: int = 0,
        mode: Mode = "fast",
        **parameters: float | str,
    ) -> Batch:
        """As ``Sampler.generate``, made by the server."""
        check_seed(seed)
        index = check_keys(self._card, count, start, mode)
        shown = self._labels(labels, index, seed)
        each = math.prod(self._shape)
        batches = []
        for rows in parts(count, each):
            body = {
                "model": self._card.reference,
                "count": rows.stop - rows.start,
                "labels": shown if isinstance(shown, str) else shown[rows],
                "seed": seed,
                "start": start + rows.start,
                "mode": mode,
                "format": "npz",
                "parameters": plain(parameters),
            }
            answer = self._transport.send("POST", "/v1/images/generations", json=body)
            batches.append(self._batch(answer.content, body, translated=False))
        return Batch.concatenate(batches)

    def translate(
        self,
        images: Images,
        *,
        labels: Labels | None = None,
        seed: int = 0,
        start: int = 0,
        mode: Mode = "fast",
        **parameters: Value,
    ) -> Batch:
        """As ``Sampler.translate``, made by the server; images and pictures are sent as PNG, without loss."""
        check_seed(seed)
        pixels = last_axis(check_images(self._card, images, any_size=self.any_size))
        index = check_keys(self._card, len(pixels), start, mode, tuple(pixels.shape[1:]))
        shown = None if labels is None else self._labels(labels, index, seed)
        values, pictures = self._pictures(parameters)
        batches = []
        for rows in parts(len(pixels), pixels[0].size):
            part = pixels[rows]
            form: dict[str, Any] = {
                "model": self._card.reference,
                "seed": str(seed),
                "start": str(start + rows.start),
                "mode": mode,
                "format": "npz",
                "parameters": json.dumps(values),
            }
            if shown is not None:
                form["labels"] = shown if isinstance(shown, str) else json.dumps(shown[rows])
            if self._allow_label_drift:
                form["allow_label_drift"] = "true"
            files = image_files(part)
            answer = self._transport.send(
                "POST", "/v1/images/translations", data=form, files=[*files, *pictures]
            )
            asked = {"count": len(part), "seed": seed, "start": start + rows.start}
            batches.append(self._batch(answer.content, asked, translated=True))
        return Batch.concatenate(batches)

    def stream(
        self,
        *,
        batch_size: int,
        labels: Labels = "any",
        seed: int = 0,
        start: int = 0,
        mode: Mode = "fast",
        **parameters: float | str,
    ) -> Iterator[Batch]:
        """As ``Sampler.stream``; the next batch is asked for while the last one is used."""

        def ask(first: int) -> Batch:
            return self.generate(batch_size, labels=labels, seed=seed, start=first, mode=mode, **parameters)

        with closing(ahead(ask, range(start, MAX_INDEX, max(batch_size, 1)), 1)) as batches:
            yield from batches

    @property
    def _shape(self) -> tuple[int, int, int]:
        image = self._card.image
        return image.channels, image.height, image.width

    def _loaded(self) -> Mapping[str, Any]:
        """What the server tells once it has loaded the model, which one image makes it do."""
        told = version(self._transport, self._card.name, self._card.version)
        if told["parameters"] is None:
            self._load(told["operations"])
            told = version(self._transport, self._card.name, self._card.version)
        if told["parameters"] is None:
            raise ServerError(
                f"The server does not keep {self._card.reference} loaded; it is short of memory."
            )
        return told

    def _load(self, operations: Sequence[str]) -> None:
        classes = self._card.classes
        body: dict[str, Any] = {"model": self._card.reference, "seed": 0, "format": "npz"}
        if "generate" in operations:
            self._transport.send("POST", "/v1/images/generations", json=body)
            return
        form = {name: str(value) for name, value in body.items()}
        if classes is not None:
            form |= {"labels": classes[0], "allow_label_drift": "true"}
        channels, height, width = self._shape
        blank = encode_png(np.zeros((height, width, channels), dtype=np.uint8), {})
        files = [("images", ("image.png", blank, "image/png"))]
        self._transport.send("POST", "/v1/images/translations", data=form, files=files)

    def _learn(self, told: Mapping[str, Any]) -> None:
        if told["parameters"] is not None:
            self._parameters = read_parameters(told["parameters"])
            self._any_size = bool(told["any_size"])

    def _labels(self, labels: Labels, index: Tensor, seed: int) -> str | list[int]:
        """What the server can draw by key stays a word; all else is one class for each sample."""
        asked = normalise_labels(labels)
        if isinstance(asked, str) and asked in ("any", "balanced"):
            return asked
        numbers = resolve_labels(labels, classes=self._card.classes, index=index, seed=seed)
        assert numbers is not None  # without classes it raises
        found: list[int] = numbers.tolist()
        return found

    def _pictures(self, given: Mapping[str, Value]) -> tuple[dict[str, Any], list[Any]]:
        """Parameters as JSON, and pictures as files."""
        one: PictureParameter | None = picture_parameter(self.parameters)
        values = {name: value for name, value in given.items() if one is None or name != one.name}
        check_parameters(self._card, self.parameters, values)
        if one is None or one.name not in given:
            return plain(values), []
        pictures = check_pictures(one, given[one.name])
        files = [(one.name, (f"{one.name}.png", encode_png(pixels, {}), "image/png")) for pixels in pictures]
        return plain(values), files

    def _batch(self, content: bytes, asked: Mapping[str, Any], *, translated: bool) -> Batch:
        """The batch in an answer, if it is what was asked for, by the model that was asked."""
        batch = read_batch(content, translated=translated)
        if batch.fingerprint.digest != self._card.digest:
            raise ServerError(
                f"{self._card.reference} was replaced on the server; open it again to use what is there now."
            )
        return as_asked(self._transport, batch, asked["seed"], asked["start"], asked["count"])
