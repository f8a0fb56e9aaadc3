"""Pipelines that the server knows: presets, those of its configuration, and those it was sent, by digest."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synth.artifacts import Store
from synth.augment import Specification, read_specification
from synth.augment.presets import PRESETS
from synth.augment.told import LONGEST, read_told
from synth.errors import ConfigError, NotFoundError
from synth.serving.problems import TooLargeError
from synth.text import closest, some

_MOST_SEEN = 4 * 2**20
_MOST_OF_CLIENT = 2**20
"""Characters of the pipelines that are remembered, of all clients and of one; beyond, the one unused for
longest goes first. In memory they take about twenty times as much."""
_SUFFIXES = (".yaml", ".yml", ".json")
_DIGEST = re.compile("[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class _Seen:
    """A pipeline that a client has sent, as so many characters."""

    specification: Specification
    client: str
    size: int


class Pipelines:
    """For any thread."""

    def __init__(
        self,
        store: Store,
        named: Mapping[str, Specification] | None = None,
        *,
        most_passes: tuple[int, int] = (200, 2000),
    ) -> None:
        """
        Args:
            store: where models are looked for that pipelines name.
            named: those of the configuration, see ``read_folder``.
            most_passes: gradient steps and queries for an image, of all attacks in a pipeline that is sent.
        """
        self._store, self._most_passes = store, most_passes
        self.named = {name: read_specification(dict(preset)) for name, preset in PRESETS.items()}
        self.named.update(named or {})
        self._known = {found.digest: found for found in self.named.values()}
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._lock = threading.Lock()

    async def find(self, text: str, client: str) -> Specification:
        """What a client means: a name, a digest, or a pipeline itself in YAML or JSON, which is remembered.

        Raises NotFoundError for names and digests that are not known, ConfigError for a pipeline that cannot
        be used, and TooLargeError for one that is too long.
        """
        word = text.strip()
        if _DIGEST.fullmatch(word):
            return self._by_digest(word)
        if word in self.named:
            return self.named[word]
        if _NAME.fullmatch(word):
            raise NotFoundError(
                f"There is no pipeline {word!r} here{closest(word, self.named)}. Pipelines: "
                f"{some(sorted(self.named))}; or send one itself, in YAML or JSON."
            )
        if len(text) > LONGEST:
            raise TooLargeError(f"The pipeline has {len(text):,} characters, and may have {LONGEST:,}.")
        found = await asyncio.to_thread(read_told, text, self._store)
        self._refuse_costly(found)
        self._remember(_Seen(found, client, len(text)))
        return found

    def _remember(self, seen: _Seen) -> None:
        with self._lock:
            self._seen[seen.specification.digest] = seen
            self._seen.move_to_end(seen.specification.digest)
            own = [(digest, one) for digest, one in self._seen.items() if one.client == seen.client]
            self._forget(own, _MOST_OF_CLIENT)
            self._forget([*self._seen.items()], _MOST_SEEN)

    def _forget(self, found: Sequence[tuple[str, _Seen]], most: int) -> None:
        """The first of these, until they have no more characters than ``most``."""
        beyond = sum(one.size for _, one in found) - most
        for digest, one in found:
            if beyond <= 0:
                return
            del self._seen[digest]
            beyond -= one.size

    def _refuse_costly(self, found: Specification) -> None:
        passes = [step.passes for step in found.operations()]
        for kind, noun in enumerate(("steps and restarts", "queries")):
            count, most = sum(one[kind] for one in passes), self._most_passes[kind]
            if count > most:
                raise ConfigError(
                    f"The attacks of the pipeline take {count:,} passes for each image by {noun}, and may "
                    f"take {most:,} here: ask for fewer {noun}."
                )

    def _by_digest(self, digest: str) -> Specification:
        with self._lock:
            if digest in self._seen:
                self._seen.move_to_end(digest)
                return self._seen[digest].specification
        if digest in self._known:
            return self._known[digest]
        raise NotFoundError(
            f"No pipeline of the digest {digest[:12]}... has been seen here of late. Send the pipeline "
            "itself once, in YAML or JSON; from then on its digest will do."
        )


def read_folder(folder: Path | None, store: Store) -> dict[str, Specification]:
    """The pipelines in the files of a folder, by their names without suffix; none without a folder.

    Raises ConfigError for a folder that cannot be read, files that hold no pipeline, and names that come
    twice or are those of presets.
    """
    if folder is None:
        return {}
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    except OSError as error:
        raise ConfigError(f"Cannot read SYNTH_PIPELINES={folder}: {error.strerror}.") from error
    found: dict[str, Specification] = {}
    for path in files:
        name = path.stem
        if name in found or name in PRESETS or not _NAME.fullmatch(name) or _DIGEST.fullmatch(name):
            raise ConfigError(
                f"{path} cannot give its name to a pipeline: names are letters, digits, '_', '.' and '-', "
                "each there once, and other than presets'. Rename it."
            )
        found[name] = read_specification(path, store=store)
    return found
