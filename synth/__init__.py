"""synth: a generator of your image domain, labelled synthetic data, and a service that streams it.

The public names below are loaded when they are first used, so that ``import synth`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synth.artifacts import Store
    from synth.batch import Batch
    from synth.client import RemoteModel, RemotePipeline
    from synth.data import open_source
    from synth.errors import SynthError
    from synth.offline import (
        generate_dataset,
        make_plan,
        make_translation_plan,
        translate_dataset,
    )
    from synth.sampling import Sampler
    from synth.training import fit, resolve_recipe

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "RemoteModel",
    "RemotePipeline",
    "Sampler",
    "Store",
    "SynthError",
    "__version__",
    "fit",
    "generate_dataset",
    "make_plan",
    "make_translation_plan",
    "open_source",
    "resolve_recipe",
    "translate_dataset",
]

_HOMES = {
    "Batch": "synth.batch",
    "RemoteModel": "synth.client",
    "RemotePipeline": "synth.client",
    "Sampler": "synth.sampling",
    "Store": "synth.artifacts",
    "SynthError": "synth.errors",
    "fit": "synth.training",
    "generate_dataset": "synth.offline",
    "make_plan": "synth.offline",
    "make_translation_plan": "synth.offline",
    "open_source": "synth.data",
    "resolve_recipe": "synth.training",
    "translate_dataset": "synth.offline",
}


def __getattr__(name: str) -> Any:
    try:
        module = importlib.import_module(_HOMES[name])
    except KeyError:
        raise AttributeError(f"module 'synth' has no attribute {name!r}") from None
    value = getattr(module, name)
    globals()[name] = value  # the next use finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
