"""The folder of a pipeline: what is in it, and whether it can be adopted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open

from synth.errors import ArtifactError, UsageError
from synth.models.pipeline import COMPONENTS, DENOISERS, refuse_code
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
_FLAT = ("unet", "scheduler")
_WEIGHTS = ".safetensors"
_LARGEST_SIDE = 1024
"""Of what a denoiser takes: pixels, or latents, of which one is eight pixels or so."""
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
    variant: str | None = None
    """As in ``diffusion_pytorch_model.fp16.safetensors``."""
    files: tuple[Path, ...] = ()
    """Its weights."""

    @property
    def base(self) -> str:
        """What the names of its weights begin with."""
        return "model" if self.name == "text_encoder" else "diffusion_pytorch_model"


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
    found = read_configs(path)
    return replace(found, parts=tuple(map(_with_weights, found.parts)))


def read_configs(path: Path) -> PipelineFolder:
    """The same without looking for weights: its parts have no files."""
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
    missing = [part for part in wanted if not _has(path, part) or not _named(index.get(part))]
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


def _place(path: Path, part: str) -> Path:
    """The folder of a part: its own or, in early pipelines of one network, that of the whole pipeline."""
    return path / part if (path / part).is_dir() else path


def _has(path: Path, part: str) -> bool:
    config = "scheduler_config.json" if part == "scheduler" else "config.json"
    return (path / part).is_dir() or (part in _FLAT and (path / config).is_file())


def _refuse_code(path: Path, index: dict[str, Any]) -> None:
    code = sorted(path.glob("*.py")) + sorted(path.glob("*/*.py"))
    foreign = [
        name
        for name, value in index.items()
        if not name.startswith("_")
        and _named(value)
        and value[0] not in ("diffusers", "transformers", "stable_diffusion")
    ]
    for file in _configs(path):
        refuse_code(_read_json(file), str(file))
    if code or foreign or not isinstance(index.get("_class_name"), str):
        where = some([str(one) for one in (*code, *foreign)]) or f"_class_name in {path / _INDEX}"
        raise UsageError(
            f"{path} needs code of its own ({where}), and synth runs no code that comes with a model. Adopt "
            "a pipeline that consists of classes of diffusers and transformers alone."
        )


def _configs(path: Path) -> Iterator[Path]:
    files = sorted([*path.glob("*config.json"), *path.glob("*/*config.json")])
    yield from (file for file in files if file.is_file())


def _named(value: object) -> bool:
    """Whether a value of the index names a component: [library, class]."""
    return isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value)


def _part(path: Path, name: str, kind: str, wanted: str) -> Part:
    kind = _OLD_NAMES.get(kind, kind)
    if kind != wanted or kind not in COMPONENTS[name]:
        raise _unsupported(path, name, kind, (wanted,))
    folder = _place(path, name)
    config = _read_json(
        folder / "config.json", f"the {name} cannot be built without it. Fetch or save it anew"
    )
    if name in DENOISERS:
        _check_size(config.get("sample_size"), folder / "config.json")
    return Part(name, kind, folder, config)


def _check_size(size: object, file: Path) -> None:
    """Before it is built: some networks have a weight for each place."""
    sides = [size, size] if isinstance(size, int) else size
    if size is not None and not (
        isinstance(sides, list)
        and len(sides) == 2
        and all(type(side) is int and 1 <= side <= _LARGEST_SIDE for side in sides)
    ):
        raise ArtifactError(
            f"sample_size in {file} must be a whole number from 1 to {_LARGEST_SIDE}, or two of them, not "
            f"{repr(size)[:50]}."
        )


def _with_weights(part: Part) -> Part:
    names, variant = chosen_weights(part, sorted(file.name for file in part.folder.iterdir()))
    files = tuple(part.folder / name for name in names)
    for file in files:
        try:
            with safe_open(file, "pt") as opened:
                opened.keys()
        except (SafetensorError, OSError) as error:
            raise ArtifactError(f"{file} is damaged ({error}). Fetch or save it anew.") from error
    return replace(part, variant=variant, files=files)


def chosen_weights(part: Part, names: Sequence[str]) -> tuple[list[str], str | None]:
    """Which files in a component's folder are its weights, and their variant: the plain one, or the first.

    Raises ArtifactError where none are, or where one of several is not there.
    """
    variants = {
        name: name[len(part.base) :].split(_WEIGHTS)[0].split("-")[0].strip(".")
        for name in names
        if name.startswith(part.base) and name.endswith(_WEIGHTS)
    }
    if not variants:
        pickles = [str(part.folder / name) for name in names if name.endswith(_PICKLES)]
        if pickles:
            raise ArtifactError(
                f"The weights in {part.folder} are pickles alone ({some(pickles)}), which can run code when "
                f"they are read; synth reads safetensors. {_CONVERT}"
            )
        raise ArtifactError(
            f"{part.folder} lacks {part.base}{_WEIGHTS}, its weights. Fetch or save it anew, whole."
        )
    variant = min(variants.values())  # the plain one is ""
    chosen = [name for name, its in variants.items() if its == variant]
    index = part.folder / f"{part.base}{_WEIGHTS}.index{f'.{variant}' if variant else ''}.json"
    if index.is_file():
        named = set(dict(_read_json(index).get("weight_map", {})).values())
        if lost := sorted(str(part.folder / name) for name in named - set(names)):
            raise ArtifactError(
                f"{part.folder} lacks {some(lost)}, a part of its weights. Fetch it anew, whole."
            )
    return chosen, variant or None


def _scheduler(path: Path, kind: str) -> dict[str, Any]:
    if kind not in SCHEDULERS.values():
        raise _unsupported(path, "scheduler", kind, tuple(SCHEDULERS.values()))
    config = _read_json(
        _place(path, "scheduler") / "scheduler_config.json", "Fetch or save the pipeline anew"
    )
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
