"""Where synth keeps what it makes: ``SYNTH_HOME``, by default ``~/.synth``."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The folder named by the environment variable ``SYNTH_HOME``, or ``~/.synth``. It need not exist."""
    return Path(os.environ.get("SYNTH_HOME") or Path.home() / ".synth").expanduser()


def store_folder() -> Path:
    """The default artifact store."""
    return home() / "store"


def runs_folder() -> Path:
    """Where training runs keep their logs, previews and resume state."""
    return home() / "runs"


def data_folder() -> Path:
    """Local copies of the built-in data sets."""
    return home() / "data"


def weights_folder() -> Path:
    """Weights of networks from elsewhere, which are looked for here before they are downloaded."""
    return home() / "weights"


def cache_folder() -> Path:
    """What can be made again, and files of running processes; it may be deleted when none runs."""
    return home() / "cache"
