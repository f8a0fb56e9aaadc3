"""Where a pipeline is: a folder, or an id of the Hugging Face hub, from which it is fetched."""

from __future__ import annotations

import re
from pathlib import Path

from synth.errors import NotFoundError
from synth.pipelines.folder import chosen_weights, read_configs
from synth.text import brief

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_CONFIGS = ["model_index.json", "*config.json", "*.safetensors.index*.json"]
_TOKENIZER = ["tokenizer/*.json", "tokenizer/*.txt"]
"""What is small. No pickles, and no code: these are not even fetched."""


def locate(pipeline: str) -> Path:
    """The folder of a pipeline that is given as one, or as ``OWNER/NAME`` on the hub.

    A folder needs no network. Of the hub's files those are fetched that can be used, into its own cache: the
    configurations first, and the weights of what is found good by these.

    Raises:
        NotFoundError: there is no such folder or id, or no network to look for it.
        UsageError, ArtifactError: see ``read_configs``.
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
    path = _download(name, [*_CONFIGS, *_TOKENIZER])
    found = read_configs(path)
    there, weights = _files(name, path), []
    for part in found.parts:
        names = [file.name for file in there if file.parent == part.folder]
        weights += [str((part.folder / file).relative_to(path)) for file in chosen_weights(part, names)[0]]
    return _download(name, [*_CONFIGS, *_TOKENIZER, *weights])


def _files(name: str, path: Path) -> list[Path]:
    """Where the files of a pipeline on the hub are, or would be, in its folder here; sorted."""
    from huggingface_hub import HfApi

    try:
        files = HfApi().list_repo_files(name)
    except Exception:  # of any kind: without a network, what was fetched before has to do
        files = [str(file.relative_to(path)) for file in path.rglob("*")]
    return sorted(path / file for file in files)


def _download(name: str, patterns: list[str]) -> Path:
    # It comes with diffusers.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except HFValidationError as error:
        raise NotFoundError(
            f"There is no folder {name}, and that is no id on the Hugging Face hub ({brief(error)})."
        ) from error
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
