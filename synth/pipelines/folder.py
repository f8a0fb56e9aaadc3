"""The folder of a pipeline: what is in it, and whether it can be adopted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open

from synth.errors import ArtifactError, UsageError
from synth.models.pipeline import COMPONENTS
from synth.models.schedules import SCHEDULERS
from synth.text import closest, some

Kind = Literal["plain", "class", "text"]
_TEXT = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "text_encoder": "CLIPTextModel"}
PIPELINES: dict[str, tuple[Kind, dict[str, str]]] = {
    "DDPMPipeline": ("plain", {"unet": "UNet2DModel"}),
    "DDIMPipeline": ("plain", {"unet": "UNet2DModel"}),
    "DiTPipeline": ("class", {"transformer": "DiTTransformer2DModel", "vae": "AutoencoderKL"}),
    "StableDiffusionPipeline": ("text", _TEXT),
    "StableDiffusionImg2ImgPipeline": ("text", _TEXT),
}
"""What a pipeline makes images from, and the components that it needs, by its class."""
_TOKENIZERS = ("CLIPTokenizer", "CLIPTokenizerFast")
_OLD_NAMES = {"Transformer2DModel": "DiTTransformer2DModel"}
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_INDEX = "model_index.json"
_CONVERT = (
    "Where you trust their origin, convert them with diffusers: "
    "DiffusionPipeline.from_pretrained(DIR, use_safetensors=False).save_pretrained(NEW_DIR)"
)


@dataclass(frozen=True)
class Part:
    """A component on disk."""

    name: str
    kind: str
    """Its class."""
    folder: Path
    config: dict[str, Any]
    variant: str | None
    """As in ``diffusion_pytorch_model.fp16.safetensors``."""
    files: tuple[Path, ...]
    """Its weights."""


@dataclass(frozen=True)
class PipelineFolder:
    """A pipeline that has all it needs."""

    path: Path
    pipeline: str
    kind: Kind
    parts: tuple[Part, ...]
    scheduler: dict[str, Any]
    """``class`` and ``config``."""
    labels: dict[str, str] | None
    """Names by number, as far as the pipeline has any."""

    @property
    def tokenizer(self) -> Path:
        """The folder of the tokenizer."""
        return self.path / "tokenizer"


def read_folder(path: Path) -> PipelineFolder:
    """Look at everything in a pipeline's folder but the values of its weights.

    Raises:
        UsageError: it is of a class that is not supported, or holds code.
        ArtifactError: it is no pipeline, lacks parts, has weights as pickles alone, or damaged files.
    """
    index = _read_json(
        path / _INDEX, "no pipeline of diffusers is there. Give the folder that it was saved to"
    )
    _refuse_code(path, index)
    name = index.get("_class_name")
    if name not in PIPELINES:
        similar = closest(str(name), PIPELINES)
        raise UsageError(
            f"{path} is a {name}{similar}, which cannot be adopted. Supported: {', '.join(PIPELINES)}."
        )
    kind, needed = PIPELINES[name]
    wanted = {**needed, **({"tokenizer": ""} if kind == "text" else {}), "scheduler": ""}
    missing = [part for part in wanted if not (path / part).is_dir() or not _named(index.get(part))]
    if missing:
        raise ArtifactError(
            f"{path} lacks parts of a {name}: {', '.join(missing)}. Fetch or save it anew, whole."
        )
    parts = tuple(_part(path, part, index[part][1], needed[part]) for part in needed)
    if kind == "text" and index["tokenizer"][1] not in _TOKENIZERS:
        raise _unsupported(path, "tokenizer", index["tokenizer"][1], _TOKENIZERS)
    labels = index.get("id2label")
    scheduler = _scheduler(path, index["scheduler"][1])
    return PipelineFolder(path, name, kind, parts, scheduler, labels if isinstance(labels, dict) else None)


def _refuse_code(path: Path, index: dict[str, Any]) -> None:
    code = sorted(path.glob("*.py")) + sorted(path.glob("*/*.py"))
    foreign = [
        name
        for name, value in index.items()
        if not name.startswith("_")
        and _named(value)
        and value[0] not in ("diffusers", "transformers", "stable_diffusion")
    ]
    mapped = [file for file in _configs(path) if "auto_map" in _read_json(file)]
    if code or foreign or mapped or not isinstance(index.get("_class_name"), str):
        where = some([str(one) for one in (*code, *mapped, *foreign)]) or f"_class_name in {path / _INDEX}"
        raise UsageError(
            f"{path} needs code of its own ({where}), and synth runs no code that comes with a model. Adopt "
            "a pipeline that consists of classes of diffusers and transformers alone."
        )


def _configs(path: Path) -> Iterator[Path]:
    yield from (file for file in sorted(path.glob("*/*config.json")) if file.is_file())


def _named(value: object) -> bool:
    """Whether a value of the index names a component: [library, class]."""
    return isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value)


def _part(path: Path, name: str, kind: str, wanted: str) -> Part:
    kind = _OLD_NAMES.get(kind, kind)
    if kind != wanted or kind not in COMPONENTS[name]:
        raise _unsupported(path, name, kind, (wanted,))
    folder = path / name
    config = _read_json(
        folder / "config.json", f"the {name} cannot be built without it. Fetch or save it anew"
    )
    base = "model" if name == "text_encoder" else "diffusion_pytorch_model"
    files, variant = _weights(folder, base)
    for file in files:
        try:
            with safe_open(file, "pt") as opened:
                opened.keys()
        except (SafetensorError, OSError) as error:
            raise ArtifactError(f"{file} is damaged ({error}). Fetch or save it anew.") from error
    return Part(name, kind, folder, config, variant, files)


def _weights(folder: Path, base: str) -> tuple[tuple[Path, ...], str | None]:
    """The files with a component's weights, and their variant."""
    found = sorted(folder.glob(f"{base}*.safetensors"))
    if not found:
        pickles = [str(file) for file in sorted(folder.iterdir()) if file.suffix in _PICKLES]
        if pickles:
            raise ArtifactError(
                f"The weights in {folder} are pickles alone ({some(pickles)}), which can run code when they "
                f"are read; synth reads safetensors. {_CONVERT}"
            )
        raise ArtifactError(f"{folder} lacks {base}.safetensors, its weights. Fetch or save it anew, whole.")
    middles = {file.name[len(base) : -len(".safetensors")].split("-")[0].strip(".") for file in found}
    variant = "" if "" in middles else min(middles)
    chosen = [
        file
        for file in found
        if file.name[len(base) : -len(".safetensors")].split("-")[0].strip(".") == variant
    ]
    for index in folder.glob(f"{base}*.safetensors.index*.json"):
        named = {folder / name for name in dict(_read_json(index).get("weight_map", {})).values()}
        lost = sorted(str(file) for file in named if not file.is_file())
        if lost:
            raise ArtifactError(f"{folder} lacks {some(lost)}, a part of its weights. Fetch it anew, whole.")
    return tuple(chosen), variant or None


def _scheduler(path: Path, kind: str) -> dict[str, Any]:
    if kind not in SCHEDULERS.values():
        raise _unsupported(path, "scheduler", kind, tuple(SCHEDULERS.values()))
    config = _read_json(path / "scheduler" / "scheduler_config.json", "Fetch or save the pipeline anew")
    return {"class": kind, "config": {key: value for key, value in config.items() if key[0] != "_"}}


def _unsupported(path: Path, part: str, kind: str, supported: tuple[str, ...]) -> UsageError:
    return UsageError(
        f"The {part} in {path} is a {kind}, which cannot be adopted. Supported: {', '.join(supported)}."
    )


def _read_json(file: Path, otherwise: str = "Fetch or save it anew") -> dict[str, Any]:
    if not file.is_file():
        raise ArtifactError(f"{file} is missing: {otherwise}.")
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise ArtifactError(f"{file} is damaged ({error}). Fetch or save it anew.") from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{file} is damaged: it holds no object. Fetch or save it anew.")
    return content
