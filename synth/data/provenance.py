"""What is said of every sample: that it is synthetic, what made it, and how to make it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from synth import __version__
from synth.batch import PICTURES, Batch

PIPELINE = "pipeline:"
"""What the model of augmented images begins with; the digest of their specification follows."""


def sample_key(index: int) -> str:
    """The file stem of a sample: its index with at least 12 digits, so that names sort by index."""
    return f"{index:012d}"


def sample_records(batch: Batch) -> list[dict[str, Any]]:
    """All that is recorded of each sample, ready for JSON, the same in every format.

    ``label`` (number) and ``label_name`` are None for a generator without classes, and of a sample that has
    shares of several; these are ``shares`` then, one for each class. ``source_id``, the content hash of the
    image that a translation was made from, is there where it is known.
    """
    parameters = dict(batch.parameters or {})
    records: list[dict[str, Any]] = [
        {
            "synthetic": True,
            "model": batch.fingerprint.model,
            "digest": batch.fingerprint.digest,
            "seed": batch.seed,
            "index": index,
            "label": label,
            "label_name": name,
            "parameters": parameters,
        }
        for index, label, name in _rows(batch)
    ]
    for record, source in zip(records, batch.sources or (), strict=False):
        record["source_id"] = source
    for record, shares in zip(records, _shares(batch), strict=False):
        record["shares"] = shares
    return records


def png_texts(batch: Batch) -> list[dict[str, str]]:
    """The text chunks of each sample: provenance under ``synth:``, and a comment for people."""
    shared = {
        "Software": f"synth {__version__}",
        "synth:synthetic": "true",
        "synth:model": batch.fingerprint.model,
        "synth:digest": batch.fingerprint.digest,
        "synth:seed": str(batch.seed),
        "synth:parameters": json.dumps(dict(batch.parameters or {}), sort_keys=True),
        "synth:fingerprint": json.dumps(batch.fingerprint.as_dict(), sort_keys=True),
    }
    texts = []
    sources: Sequence[str | None] = batch.sources or [None] * len(batch)
    rows = zip(_rows(batch), sources, reproduce_commands(batch), strict=True)
    for (index, label, name), source, command in rows:
        what = "Synthetic image, made from a real one (SOURCE)." if batch.translated else "Synthetic image."
        text = {
            **shared,
            "synth:index": str(index),
            "Comment": f"{what} Reproduce with: {command}",
        }
        if source is not None:
            text["synth:source"] = source
        if label is not None:
            text["synth:label"] = name or str(label)
        texts.append(text)
    for text, shares in zip(texts, _shares(batch), strict=False):
        text["synth:shares"] = json.dumps(shares)
    return texts


def reproduce_commands(batch: Batch) -> list[str]:
    """For each sample the command line that makes it again, quoted for a POSIX shell.

    A translation takes its image as well: ``SOURCE`` stands for a folder with that image alone. So does an
    augmentation; ``PIPELINE`` is its specification, which the manifest holds, and all copies are made. What a
    server augmented it is asked for again: for one epoch, with ids of the client's, with partners.
    """
    fingerprint = batch.fingerprint
    if fingerprint.model.startswith(PIPELINE):
        if "epoch" in (batch.parameters or {}):
            return _requests(batch)
        what = ["augment", "PIPELINE", "--data", "SOURCE", "--seed", str(batch.seed)]
        copies = str((batch.parameters or {})["copies"])
        return [shlex.join(["synth", *what, "--copies", copies, "--out", "DIR"])] * len(batch)
    what = ["translate", fingerprint.model, "--data", "SOURCE"]
    if not batch.translated:
        what = ["generate", fingerprint.model, "--count", "1"]
    head = shlex.join(["synth", *what, "--seed", str(batch.seed), "--start"])
    words = []
    for name, value in sorted((batch.parameters or {}).items()):
        if str(value).startswith(PICTURES):  # the file is the user's to find, by the id that the record has
            words += [f"--{name}", name.upper()] * (str(value).count(",") + 1)
        else:
            words += ["--set", f"{name}={value}"]
    tail = shlex.join(
        [*words, "--precision", fingerprint.precision, "--mode", fingerprint.mode, "--out", "DIR"]
    )
    labels: dict[int | None, str] = {None: ""}
    commands = []
    for index, label, label_name in _rows(batch):
        if label is not None and label not in labels:
            labels[label] = f"--labels {shlex.quote(_label_argument(label_name, label))} "
        commands.append(f"{head} {index} {labels[label]}{tail}")
    return commands


def _requests(batch: Batch) -> list[str]:
    epoch = (batch.parameters or {})["epoch"]
    head = ["curl", "SERVER/v1/images/augmentations", "-F", "pipeline=<PIPELINE"]
    fixed = ["-F", f"seed={batch.seed}", "-F", f"epoch={epoch}"]
    return [
        shlex.join([*head, *fixed, "-F", "images=@SOURCE", "-F", f"ids={json.dumps([source])}"])
        for source in batch.sources or [""] * len(batch)
    ]


def _shares(batch: Batch) -> list[list[float]]:
    """Of each sample, one for each class; none where labels are class numbers."""
    if batch.labels is None or batch.labels.ndim == 1:
        return []
    shares: list[list[float]] = batch.labels.tolist()
    return shares


def _rows(batch: Batch) -> list[tuple[int, int | None, str | None]]:
    """Index, label and label name of each sample, read from the tensors at once."""
    indexes = batch.index.tolist()
    if batch.labels is None or batch.labels.ndim == 2:
        return [(index, None, None) for index in indexes]
    classes = batch.classes
    return [
        (index, label, None if classes is None else classes[label])
        for index, label in zip(indexes, batch.labels.tolist(), strict=True)
    ]


def _label_argument(name: str | None, number: int) -> str:
    """The class name, or its number where the name would be read as another kind of request."""
    return str(number) if name is None or "=" in name or name in ("any", "balanced") else name
