"""What the server says, as the objects that a local sampler has."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import torch

from synth.artifacts import ImageInfo, Metric, ModelCard
from synth.batch import Batch, Fingerprint
from synth.client.transport import ServerError
from synth.models.program import AnyParameter, Parameter, PictureParameter, TextParameter


def read_card(told: Mapping[str, Any]) -> ModelCard:
    """The card in an answer of ``/v1/models``; ServerError where it has none."""
    if told.get("error"):
        raise ServerError(f"The server cannot use {told.get('reference')}: {told['error']}")
    try:
        return ModelCard(
            name=told["name"],
            version=told["version"],
            family=told["family"],
            image=ImageInfo.model_validate(told["image"]),
            classes=None if told["classes"] is None else tuple(told["classes"]),
            digest=told["digest"],
            created=datetime.fromisoformat(told["created"]),
            metrics={name: Metric.model_validate(one) for name, one in told["metrics"].items()},
            training_images=told["training_images"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ServerError(f"The server's answer holds no model card ({error!r}).") from error


def read_parameters(told: Sequence[Mapping[str, Any]]) -> tuple[AnyParameter, ...]:
    """The parameters in an answer of ``/v1/models``."""
    return tuple(_parameter(one) for one in told)


def _parameter(told: Mapping[str, Any]) -> AnyParameter:
    name, meaning = told["name"], told["meaning"]
    if told["kind"] == "pictures":
        return PictureParameter(name, meaning, most=told["most_pictures"])
    if told["kind"] == "text":
        choices = None if told["choices"] is None else tuple(told["choices"])
        return TextParameter(name, told["default"], meaning, choices, told["most_characters"] or 1_000)
    whole = told["kind"] == "whole number"
    return Parameter(name, told["default"], told["low"], told["high"], meaning, whole=whole)


def read_batch(content: bytes, *, translated: bool) -> Batch:
    """The batch in an answer of the form npz; ServerError where it is none."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        images = torch.from_numpy(np.ascontiguousarray(arrays["images"].transpose(0, 3, 1, 2)))
        labels, classes = arrays.get("labels"), arrays.get("class_names")
        return Batch(
            images=images,
            labels=None if labels is None else torch.from_numpy(labels),
            index=torch.from_numpy(arrays["index"]),
            seed=int(arrays["seed"]),
            fingerprint=Fingerprint(**json.loads(str(arrays["fingerprint"]))),
            classes=None if classes is None else tuple(classes.tolist()),
            parameters=json.loads(str(arrays["parameters"])),
            translated=translated,
        )
    except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ServerError(f"The server's images cannot be read ({error!r}).") from error
