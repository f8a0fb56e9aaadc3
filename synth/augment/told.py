"""Pipelines that strangers tell, such as clients of a server: nothing that they name is opened."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from synth.artifacts import Store
from synth.augment.presets import PRESETS
from synth.augment.reading import read_specification
from synth.augment.specification import KINDS, Specification
from synth.augment.text import read_text
from synth.errors import ConfigError

LONGEST = 2**16
"""Characters of a pipeline's text: many times what people write, and soon read."""
_MOST_STEPS = 100
"""Operations and groups of a pipeline: each takes time and memory with every image."""
_LONGEST_MESSAGE = 2_000


def read_told(told: str | Mapping[str, Any], store: Store) -> Specification:
    """A specification of plain values, of YAML or JSON as text, or of a preset's name.

    Raises ConfigError, see ``read_specification``; for a text of more than ``LONGEST`` characters; for
    aliases of YAML; and for more than 100 steps.
    """
    if isinstance(told, str) and told.strip() in PRESETS:
        told = PRESETS[told.strip()]
    if isinstance(told, str):
        if len(told) > LONGEST:
            raise ConfigError(f"The pipeline has {len(told):,} characters, and may have {LONGEST:,}.")
        told = read_text(told, "The pipeline", aliases=False)
    if not isinstance(told, Mapping):
        raise ConfigError(
            f"A pipeline is a mapping with 'sample', a list of operations; or a name: {', '.join(PRESETS)}."
        )
    steps = _steps(told)
    if steps > _MOST_STEPS:
        raise ConfigError(f"The pipeline has {steps:,} steps, and may have {_MOST_STEPS}.")
    try:
        return read_specification(told, store=store)
    except ConfigError as error:
        raise ConfigError(textwrap.shorten(str(error), _LONGEST_MESSAGE, placeholder=" ...")) from None


def _steps(told: Mapping[str, Any]) -> int:
    """How many steps there are, those within groups too, as far as they are lists."""
    waiting = [told]
    found = 0
    while waiting:
        values = waiting.pop()
        for name in ("sample", "batch", *KINDS):
            steps = values.get(name)
            if isinstance(steps, list):
                found += len(steps)
                waiting += [step for step in steps if isinstance(step, Mapping)]
    return found
