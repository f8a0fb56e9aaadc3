"""The table of output formats: the one place where a new one is added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from synth.batch import Batch
from synth.data.encode import Encoding
from synth.data.writers import coco, imagefolder, masks, npz, voc, webdataset, yolo
from synth.data.writers.manifest import DatasetFile
from synth.data.writers.staging import Header, ShardRecord, Staging
from synth.errors import ConfigError
from synth.text import closest


class WriteShard(Protocol):
    """Write one shard under ``staging.data`` (final files) and ``staging.parts`` (pieces); return both.

    A function of the batches, one after the other, and of the encoding alone: equal ones give equal bytes,
    whatever was there before.
    """

    def __call__(
        self, staging: Staging, number: int, batches: Sequence[Batch], encoding: Encoding
    ) -> tuple[list[DatasetFile], list[DatasetFile]]: ...


class Finish(Protocol):
    """Join the parts of all shards, in order, into files under ``staging.data``; return those."""

    def __call__(
        self, staging: Staging, header: Header, shards: Sequence[ShardRecord]
    ) -> list[DatasetFile]: ...


@dataclass(frozen=True)
class Format:
    """One way to lay a data set out on disk."""

    name: str
    write_shard: WriteShard
    finish: Finish
    encodes: bool = True
    """Holds image files, and not raw pixels."""
    annotated: bool = False
    """Holds objects or masks, and no classes of images."""

    @property
    def any_size(self) -> bool:
        """Whether the images may differ in size, as files may and rows of an array may not."""
        return self.encodes


FORMATS: dict[str, Format] = {
    "imagefolder": Format("imagefolder", imagefolder.write_shard, imagefolder.finish),
    "webdataset": Format("webdataset", webdataset.write_shard, webdataset.finish),
    "npz": Format("npz", npz.write_shard, npz.finish, encodes=False),
    "coco": Format("coco", coco.write_shard, coco.finish, annotated=True),
    "voc": Format("voc", voc.write_shard, voc.finish, annotated=True),
    "yolo": Format("yolo", yolo.write_shard, yolo.finish, annotated=True),
    "masks": Format("masks", masks.write_shard, masks.finish, annotated=True),
}


def get_format(name: str, encoding: Encoding | None = None, *, annotated: bool | None = False) -> Format:
    """The format of that name, which can hold images of that encoding.

    Args:
        annotated: whether the images have objects or masks, which some formats hold and the others would
            lose; None: whichever the format needs.

    Raises ConfigError with the names that exist, or where the format holds no image files, or not these.
    """
    fit = [one.name for one in FORMATS.values() if annotated in (None, one.annotated)]
    try:
        form = FORMATS[name]
    except KeyError:
        raise ConfigError(
            f"There is no output format {name!r}{closest(name, fit)}. Formats: {', '.join(fit)}."
        ) from None
    if name not in fit:
        what = (
            "have objects or masks, which it would lose" if annotated else "have none of the objects it holds"
        )
        raise ConfigError(f"The format {name} does not fit images that {what}. Use {' or '.join(fit)}.")
    if encoding is not None and encoding.format != "png" and not form.encodes:
        raise ConfigError(
            f"The format {name} holds raw pixels; images as {encoding.format} go with "
            f"{' or '.join(other.name for other in FORMATS.values() if other.encodes)}."
        )
    return form
