"""Where a pipeline is: a folder, or an id of the Hugging Face hub, from which it is fetched."""

from __future__ import annotations

import re
from pathlib import Path

from synth.errors import NotFoundError
from synth.text import brief

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_WANTED = ["*.json", "*.safetensors", "*/merges.txt", "*/vocab.txt"]
"""No pickles, and no code: these are not even fetched."""


def locate(pipeline: str) -> Path:
    """The folder of a pipeline that is given as one, or as ``OWNER/NAME`` on the hub.

    A folder needs no network. Of the hub's files those are fetched that can be used, into its own cache.

    Raises NotFoundError where there is no such folder or id, or no network to look for it.
    """
    folder = Path(pipeline).expanduser()
    if folder.is_dir():
        return folder
    if not _ID.fullmatch(pipeline):
        raise NotFoundError(
            f"There is no folder {folder}. Give the folder of a diffusers pipeline (with model_index.json), "
            "or an id on the Hugging Face hub: OWNER/NAME."
        )
    return _fetched(pipeline)


def _fetched(name: str) -> Path:
    # It comes with diffusers.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=_WANTED))
    except RepositoryNotFoundError as error:
        raise NotFoundError(
            f"There is no folder {name}, and nothing on the Hugging Face hub that you may read by that name "
            f"({brief(error)})."
        ) from error
    except (LocalEntryNotFoundError, OSError) as error:
        raise NotFoundError(
            f"There is no folder {name}, and the Hugging Face hub cannot be reached to look for it there "
            f"({brief(error)}). Connect to the network, or fetch the pipeline elsewhere and give its folder."
        ) from error
