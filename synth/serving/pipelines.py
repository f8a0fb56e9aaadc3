"""Pipelines that the server knows: presets, those of its configuration, and those it was sent, by digest."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from synth.artifacts import Store
from synth.augment import Specification, read_specification
from synth.augment.presets import PRESETS
from synth.augment.told import LONGEST, read_told
from synth.errors import ConfigError, NotFoundError
from synth.serving.problems import TooLargeError
from synth.text import closest, some

_MOST_SEEN = 1_000
"""Pipelines that clients have sent and that are remembered; the one unused for longest goes first."""
_SUFFIXES = (".yaml", ".yml", ".json")
_DIGEST = re.compile("[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Pipelines:
    """For any thread."""

    def __init__(self, store: Store, named: Mapping[str, Specification] | None = None) -> None:
        """
        Args:
            store: where models are looked for that pipelines name.
            named: those of the configuration, see ``read_folder``.
        """
        self._store = store
        self.named = {name: read_specification(dict(preset)) for name, preset in PRESETS.items()}
        self.named.update(named or {})
        self._known = {found.digest: found for found in self.named.values()}
        self._seen: OrderedDict[str, Specification] = OrderedDict()
        self._lock = threading.Lock()

    async def find(self, text: str) -> Specification:
        """What a client means: a name, a digest, or a pipeline itself in YAML or JSON.

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
        with self._lock:
            self._seen[found.digest] = found
            self._seen.move_to_end(found.digest)
            if len(self._seen) > _MOST_SEEN:
                self._seen.popitem(last=False)
        return found

    def _by_digest(self, digest: str) -> Specification:
        with self._lock:
            if digest in self._seen:
                self._seen.move_to_end(digest)
                return self._seen[digest]
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
