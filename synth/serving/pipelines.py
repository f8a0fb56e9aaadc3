"""Pipelines that the server knows: presets, those of its configuration, and those it was sent, by digest."""

from __future__ import annotations

import asyncio
import re
import textwrap
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth.artifacts import Store
from synth.augment import Specification, read_specification
from synth.augment.presets import PRESETS
from synth.augment.text import read_text
from synth.errors import ConfigError, NotFoundError
from synth.serving.problems import TooLargeError
from synth.text import closest, some

_MOST_SEEN = 1_000
"""Pipelines that clients have sent and that are remembered; the one unused for longest goes first."""
_LONGEST = 2**16
"""Bytes of a pipeline's text: many times what people write, and soon read."""
_LONGEST_MESSAGE = 2_000
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
        if len(text) > _LONGEST:
            raise TooLargeError(f"The pipeline has {len(text):,} characters, and may have {_LONGEST:,}.")
        found = await asyncio.to_thread(_read, text, self._store)
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


def _read(text: str, store: Store) -> Specification:
    values: Any = read_text(text, "The pipeline", aliases=False)
    if not isinstance(values, dict):
        # Never a path: what clients name is not opened.
        raise ConfigError("A pipeline is a mapping with 'sample', a list of operations; or a name or digest.")
    try:
        return read_specification(values, store=store)
    except ConfigError as error:
        raise ConfigError(textwrap.shorten(str(error), _LONGEST_MESSAGE, placeholder=" ...")) from None
