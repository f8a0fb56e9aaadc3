"""From a pipeline's folder to an artifact in the store."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from synth.artifacts import Draft, ImageInfo
from synth.errors import ArtifactError, ConfigError, SynthError, UsageError
from synth.models.denoising import CLASS, DenoisingProgram
from synth.models.pipeline import ATTENTION, TOKENIZER_FILE, Pipeline, require_text
from synth.models.program import ImageShape
from synth.pipelines.folder import Part, PipelineFolder, read_folder
from synth.sampling.core import Core
from synth.sampling.methods import Model
from synth.text import brief

_UNKNOWN = float("nan")


def adopt(
    folder: Path, *, source: str, classes: Sequence[str] | None = None, prompt: str | None = None
) -> Draft:
    """A draft with the pipeline in ``folder``, to be published.

    Args:
        folder: see ``synth.pipelines.locate``.
        source: what to call its origin.
        classes: names of the classes: of a model that reads text, those that take the place of ``{class}`` in
            its prompt; of one with classes, in place of its own names, as many.
        prompt: default of a model that reads text; with classes it holds ``{class}``.

    Raises:
        UsageError, ArtifactError: see ``read_folder``; parts that do not fit each other.
        ConfigError: classes or a prompt where the model takes none, or that do not go together.
    """
    found = read_folder(folder)
    if found.kind == "text":
        require_text()
    names = _class_names(found, classes)
    prompt = _checked_prompt(found, names, prompt)
    components = {part.name: _load(part) for part in found.parts}
    image = _image(found, components)
    files, tokens = _tokenizer(found, components) if found.kind == "text" else ({}, None)
    config: dict[str, Any] = {
        "pipeline": found.pipeline,
        "components": {
            part.name: {"class": part.kind, "config": _config(components[part.name])} for part in found.parts
        },
        "scheduler": found.scheduler,
    }
    if found.kind == "text":
        config |= {"tokens": tokens, "prompt": prompt, "names": names}
    weights = {
        f"{name}.{key}": tensor
        for name, component in components.items()
        for key, tensor in component.state_dict().items()
    }
    _try_out(found, config, image, len(names or ()), weights, files)
    channels = image.channels
    return Draft(
        family="diffusers",
        network=config,
        image=ImageInfo(channels=channels, height=image.height, width=image.width),
        classes=names,
        weights=weights,
        parameters=sum(one.numel() for part in components.values() for one in part.parameters()),
        recipe={"adopted": found.pipeline},
        source=source,
        # What it was trained on is not known here.
        images=0,
        images_seen=0,
        seconds=0.0,
        ids=[],
        class_counts=None if names is None else [0] * len(names),
        pixel_mean=[_UNKNOWN] * channels,
        pixel_std=[_UNKNOWN] * channels,
        made_with=("torch", "diffusers", *(("transformers",) if found.kind == "text" else ())),
        files=files,
    )


def _class_names(found: PipelineFolder, classes: Sequence[str] | None) -> list[str] | None:
    if found.kind == "plain" and classes is not None:
        raise ConfigError(f"A {found.pipeline} knows no classes; leave --classes out.")
    if classes is not None and (not all(classes) or len(set(classes)) < len(classes)):
        raise ConfigError("--classes needs a name for each class, none twice, as in --classes cat,dog.")
    if found.kind != "class":
        return None if classes is None else list(classes)
    count = int(found.parts[0].config.get("num_embeds_ada_norm") or 0)
    if classes is not None:
        if len(classes) != count:
            raise ConfigError(f"The model has {count} classes, and --classes names {len(classes)}.")
        return list(classes)
    names: list[str] = []
    for number in range(count):
        name = str((found.labels or {}).get(str(number), number))
        names.append(name if name not in names else f"{name} ({number})")
    return names


def _checked_prompt(found: PipelineFolder, names: list[str] | None, prompt: str | None) -> str:
    if found.kind != "text":
        if prompt is not None:
            raise ConfigError(f"A {found.pipeline} reads no text; leave --prompt out.")
        return ""
    if prompt is None:
        return "" if names is None else f"a photo of a {CLASS}"
    if (CLASS in prompt) != (names is not None):
        raise ConfigError(
            f"--classes and {CLASS} in --prompt go together, as in --classes cat,dog --prompt 'a {CLASS}'."
        )
    return prompt


def _load(part: Part) -> nn.Module:
    """The component with its weights, in the precision that they were saved in."""
    import diffusers

    options: dict[str, Any] = {"local_files_only": True, "use_safetensors": True, "variant": part.variant}
    if part.name == "text_encoder":
        import transformers

        transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        kind = getattr(transformers, part.kind)
        options["attn_implementation"] = ATTENTION
    else:
        kind = getattr(diffusers, part.kind)
        options["low_cpu_mem_usage"] = False
    try:
        with _quiet():
            component, told = kind.from_pretrained(str(part.folder), output_loading_info=True, **options)
    except Exception as error:  # a configuration may be wrong in any way
        raise ArtifactError(
            f"The {part.name} in {part.folder} cannot be loaded ({brief(error)}). Fetch or save it anew."
        ) from error
    missing = sorted(told["missing_keys"])
    if missing:
        raise ArtifactError(
            f"The weights in {part.folder} lack {len(missing)} tensors, the first of them {missing[0]}. "
            "Fetch or save it anew, whole."
        )
    with safe_open(part.files[0], "pt") as opened:
        dtype = opened.get_tensor(next(iter(opened.keys()))).dtype
    if dtype.is_floating_point and dtype != torch.float32:
        for weight in component.parameters():
            weight.data = weight.data.to(dtype)
    made: nn.Module = component.eval()
    for name, weight in made.state_dict().items():
        if weight.is_floating_point() and not bool(weight.isfinite().all()):
            raise ArtifactError(
                f"The weights in {part.folder} are damaged: {name} is NaN or infinite in places. Fetch or "
                "save it anew."
            )
    return made


def _config(component: nn.Module) -> dict[str, Any]:
    config: Any = component.config
    plain = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    return {key: value for key, value in plain.items() if not key.startswith("_")}


def _image(found: PipelineFolder, components: dict[str, nn.Module]) -> ImageShape:
    """Shape of the images; UsageError where the networks want more than a pipeline of this class gives."""
    denoiser: Any = components[found.parts[0].name].config
    for wish in ("num_class_embeds", "class_embed_type", "time_cond_proj_dim", "addition_embed_type"):
        if found.kind != "class" and denoiser.get(wish) is not None:
            raise UsageError(
                f"The {found.parts[0].name} in {found.path} has {wish} {denoiser[wish]!r}: it is to be told "
                "what synth cannot tell it."
            )
    size = denoiser.sample_size
    if size is None:
        raise UsageError(
            f"The size of the images is not in {found.parts[0].folder / 'config.json'}: sample_size."
        )
    height, width = (size, size) if isinstance(size, int) else size
    channels, takes = int(denoiser.in_channels), int(denoiser.in_channels)
    if "vae" in components:
        vae: Any = components["vae"].config
        scale = 2 ** (len(vae.block_out_channels) - 1)
        height, width, channels, takes = scale * height, scale * width, vae.out_channels, vae.latent_channels
    if channels not in (1, 3) or takes != denoiser.in_channels:
        raise UsageError(
            f"The networks in {found.path} take {denoiser.in_channels} channels to make {channels}: synth "
            "adopts what makes grey or RGB images from noise or images alone."
        )
    return ImageShape(int(channels), int(height), int(width))


def _tokenizer(
    found: PipelineFolder, components: dict[str, nn.Module]
) -> tuple[dict[str, bytes], dict[str, int]]:
    """The tokenizer as one file, and what else it is used with."""
    from transformers import CLIPTokenizer

    try:
        with _quiet():
            tokenizer: Any = CLIPTokenizer.from_pretrained(str(found.tokenizer), local_files_only=True)
            text = tokenizer.backend_tokenizer.to_str()
    except Exception as error:  # tokenizers raises nothing more definite
        raise ArtifactError(
            f"The tokenizer in {found.tokenizer} cannot be loaded ({brief(error)}). Fetch or save it anew."
        ) from error
    config: Any = components["text_encoder"].config
    length = min(int(tokenizer.model_max_length), int(config.max_position_embeddings))
    return {TOKENIZER_FILE: text.encode()}, {"length": length, "pad": int(tokenizer.pad_token_id)}


def _try_out(
    found: PipelineFolder,
    config: dict[str, Any],
    image: ImageShape,
    classes: int,
    weights: dict[str, Tensor],
    files: dict[str, bytes],
) -> None:
    """Build it as it will be loaded, and go one step: parts that do not fit each other show themselves."""
    try:
        network = Pipeline(config, image, classes)
        network.load_state_dict(weights, strict=True, assign=True)
        network.read_files(files)
        program: Any = DenoisingProgram
        Core(
            Model(network.requires_grad_(False).float().eval(), program, image, classes),
            torch.device("cpu"),
            torch.float32,
        )
    except SynthError:
        raise
    except Exception as error:  # a configuration may be wrong in any way
        raise ArtifactError(
            f"The parts in {found.path} do not fit each other ({brief(error)}). Fetch or save it anew, whole."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice that the libraries give to those who call them."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
