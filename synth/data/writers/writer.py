"""Write batches as a data set that becomes visible as a whole, or not at all, and can be resumed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch

from synth import __version__
from synth.batch import Batch
from synth.data.encode import PNG, Encoding
from synth.data.writers.files import storage_errors
from synth.data.writers.formats import Format, get_format
from synth.data.writers.manifest import DatasetFile, DatasetManifest
from synth.data.writers.staging import Header, PlanRecord, ShardRecord, Staging, finished_in, refuse_foreign
from synth.errors import OutputExistsError, ResumeError, UsageError
from synth.text import plural


class Writer:
    """A data set in the making; make it with ``open_writer`` and use it in a ``with`` block.

    Leaving the block closes the data set. Leaving it by an exception keeps the finished shards for
    ``resume``, and leaves nothing behind when there are none.

    Attributes:
        manifest: the finished data set's manifest, or None while it is being written.
    """

    def __init__(
        self,
        form: Format,
        encoding: Encoding,
        staging: Staging,
        plan: PlanRecord,
        shards: dict[int, ShardRecord],
        manifest: DatasetManifest | None = None,
    ) -> None:
        self.manifest = manifest
        self._form, self._encoding = form, encoding
        self._staging = staging
        self._plan = plan
        self._shards = shards
        self._header = staging.header()

    @property
    def completed(self) -> dict[int, int]:
        """Samples in each finished shard, by shard number."""
        return {number: shard.count for number, shard in self._shards.items()}

    def write(self, batch: Batch | Sequence[Batch], shard: int | None = None) -> None:
        """Write a batch, or several, as one shard, which is safe on the disk on return.

        Args:
            batch: at least one sample; model, classes, seed, parameters and image shape as in all others.
                Where the plan says ``"sizes": "own"``, images of different batches may differ in size.
            shard: the shard's number, which decides its place; the next after the highest by default.

        Raises:
            ResumeError: the batch was made by another generator, or elsewhere, than the shards on disk.
            StorageError: the disk is full or refuses the write; finished shards are kept.
            UsageError: the writer is closed, the batch is empty, or this shard is there already.
        """
        number = max(self._shards, default=-1) + 1 if shard is None else shard
        if self.manifest is not None:
            raise UsageError(f"The data set in {self._staging.out} is closed; nothing can be added.")
        batches = [batch] if isinstance(batch, Batch) else list(batch)
        if number in self._shards or not batches or not all(map(len, batches)):
            raise UsageError(f"Shard {number} is empty, or written already.")
        with storage_errors(self._staging.out):
            for each in batches:
                self._agree(Header.of(each, own_sizes=self._plan.plan.get("sizes") == "own"))
            files, parts = self._form.write_shard(self._staging, number, batches, self._encoding)
            record = ShardRecord(
                number=number,
                count=sum(map(len, batches)),
                class_counts=_class_counts(batches),
                files=files,
                parts=parts,
            )
            self._staging.finish_shard(record)
        self._shards[number] = record

    def close(self) -> DatasetManifest:
        """Complete the data set and move it into place; its manifest.json comes last.

        Raises:
            OutputExistsError: files that synth did not write are in the way; all work is kept.
            StorageError: see ``write``.
            UsageError: nothing was written.
        """
        if self.manifest is not None:
            return self.manifest
        if self._header is None:
            raise UsageError("No batch was written, so there is no data set to close.")
        with storage_errors(self._staging.out):
            shards = [self._shards[number] for number in sorted(self._shards)]
            joined = self._form.finish(self._staging, self._header, shards)
            self._staging.seal(self._describe(self._header, shards, joined))
            self.manifest = self._staging.publish()
        return self.manifest

    def _describe(
        self, header: Header, shards: list[ShardRecord], joined: list[DatasetFile]
    ) -> DatasetManifest:
        counts = [shard.class_counts for shard in shards if shard.class_counts is not None]
        return DatasetManifest(
            software=f"synth {__version__}",
            format=self._form.name,
            count=sum(shard.count for shard in shards),
            classes=header.classes,
            class_counts=np.sum(counts, axis=0).tolist() if counts else None,
            plan=self._plan.plan,
            fingerprint=header.fingerprint,
            files=[*joined, *(file for shard in shards for file in shard.files)],
            created=self._plan.created,
        )

    def _agree(self, header: Header) -> None:
        """Hold all batches to one header."""
        if self._header is None:
            self._staging.set_header(header)
            self._header = header
        elif header != self._header:
            differences = _differences(self._header.model_dump(), header.model_dump())
            raise ResumeError(
                f"The new samples would not match those already in {self._staging.out}: {differences}. Go on "
                "where the others were made, or start again with --overwrite."
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self._leave()

    def _leave(self) -> None:
        with storage_errors(self._staging.out):
            if self.manifest is None and not self._shards:
                self._staging.discard()
        self._staging.release()


def open_writer(
    format: str,
    out: str | Path,
    *,
    plan: Mapping[str, Any],
    encoding: Encoding = PNG,
    resume: bool = False,
    overwrite: bool = False,
) -> Writer:
    """A writer into the folder ``out``, which sees nothing of the data set before it is complete.

    Args:
        format: a name of ``FORMATS``.
        out: a folder that is empty or does not exist yet, or one that ``resume`` or ``overwrite`` allows.
        plan: the request, ready for JSON; kept in the manifest, and compared on resuming.
        encoding: of the images, in formats that hold image files.
        resume: go on with an unfinished data set of an equal plan. A finished one gives a writer that is
            closed already (``manifest`` is set). Where there is nothing to resume, start.
        overwrite: replace a data set of synth, finished or not. The former one stays until the new one is
            complete.

    Raises:
        ConfigError: unknown format, or one that cannot hold this encoding.
        OutputExistsError: ``out`` holds something, or another process writes to it.
        ResumeError: what is there has another plan; the message names the differences.
        StorageError: ``out`` cannot be written to.
        UsageError: both ``resume`` and ``overwrite``.
    """
    if resume and overwrite:
        raise UsageError("Use either --resume, to go on, or --overwrite, to start again; not both.")
    form = get_format(format, encoding, annotated=None)
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise OutputExistsError(f"{out} is a file; choose a folder for the output.")
    request = json.loads(json.dumps({"format": form.name, **plan}))
    staging = Staging(out)
    try:
        with storage_errors(out):
            return _open(form, encoding, staging, request, resume=resume, overwrite=overwrite)
    except BaseException:
        staging.release()
        raise


def _open(
    form: Format,
    encoding: Encoding,
    staging: Staging,
    request: dict[str, Any],
    *,
    resume: bool,
    overwrite: bool,
) -> Writer:
    out = staging.out
    if staging.path.exists():
        staging.lock()
    if staging.sealed:
        # A process died between completing the data set and moving it into place.
        staging.publish()
    kept = {} if overwrite else staging.shards()
    record = staging.plan() if kept else None
    if record is not None:
        if not resume:
            raise OutputExistsError(
                f"{out} holds an unfinished data set ({plural(len(kept), 'finished shard')}): go on with "
                "--resume, start again with --overwrite, or choose another folder."
            )
        _require_equal(out, record.plan, request)
        return Writer(form, encoding, staging, record, kept)
    finished = finished_in(out)
    if finished is not None and not overwrite:
        if not resume:
            raise OutputExistsError(
                f"{out} holds a finished data set ({plural(finished.count, 'image')}, {finished.format}): "
                "choose another folder, or replace it with --overwrite."
            )
        _require_equal(out, finished.plan, request)
        if staging.path.exists():
            staging.discard()
        return Writer(
            form, encoding, staging, PlanRecord(created=finished.created, plan=request), {}, finished
        )
    refuse_foreign(out)
    staging.lock()
    return Writer(form, encoding, staging, staging.start(request), {})


def _require_equal(out: Path, there: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    if there != asked:
        raise ResumeError(
            f"{out} was begun with another request: {_differences(there, asked)}. Repeat the first request "
            "to resume it, start again with --overwrite, or choose another folder."
        )


def _differences(there: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """``seed: 0 on disk, 1 asked for; ...``, with nested mappings taken apart."""
    old, new = _flat(there), _flat(asked)
    return "; ".join(
        f"{name} is {_short(old.get(name))} on disk, {_short(new.get(name))} now"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}.{inner}": one for inner, one in _flat(value).items()})
        else:
            flat[name] = value
    return flat


def _short(value: object) -> str:
    text = "not set" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _class_counts(batches: Sequence[Batch]) -> list[int] | None:
    labels = [batch.labels.cpu() for batch in batches if batch.labels is not None]
    classes = batches[0].classes
    if not labels or classes is None or labels[0].ndim == 2:  # shares are no counts
        return None
    return torch.bincount(torch.cat(labels), minlength=len(classes)).tolist()
