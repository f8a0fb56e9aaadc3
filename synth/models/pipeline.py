"""Pipelines of diffusers: the networks of one, put together from what its artifact says.

Denoising diffusion in pixels (Ho et al., "Denoising diffusion probabilistic models", arXiv 2006.11239) or in
the latents of an autoencoder (Rombach et al., "High-resolution image synthesis with latent diffusion models",
arXiv 2112.10752), with a U-Net or a transformer (Peebles and Xie, "Scalable diffusion models with
transformers", arXiv 2212.09748). The networks are those of diffusers and transformers, whose classes are
named in the table below; no other class is ever built, and no code comes from an artifact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from synth.errors import ConfigError, UsageError
from synth.models.program import ImageShape, NetworkConfig

DENOISERS = ("unet", "transformer")
COMPONENTS: dict[str, tuple[str, ...]] = {
    "unet": ("UNet2DModel", "UNet2DConditionModel"),
    "transformer": ("DiTTransformer2DModel", "Transformer2DModel"),
    "vae": ("AutoencoderKL",),
    "text_encoder": ("CLIPTextModel",),
}
"""The classes that a component may be of."""
TOKENIZER_FILE = "tokenizer.json"
ATTENTION = "sdpa"
"""How text encoders compute attention, whatever their configuration says."""
_PLAIN_ATTENTION = (ATTENTION, "eager")
_ATTENTION = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")

_INITIALISING = frozenset(
    getattr(Tensor, name) for name in ("uniform_", "normal_", "zero_", "fill_", "mul_", "add_")
)


class _WithoutInitialisation(TorchFunctionMode):
    """While it is entered, this thread's modules get memory for their weights, and no values.

    Memory that nothing is written to costs nothing, and buffers that are computed and not saved are there.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _INITIALISING or getattr(func, "__module__", None) == nn.init.__name__:
            tensor = args[0] if args else kwargs["tensor"]
            if isinstance(tensor, nn.Parameter):
                return tensor
        return func(*args, **(kwargs or {}))


def require_text() -> None:
    """Raise ConfigError where texts cannot be read for want of a package."""
    try:
        import tokenizers  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"Models that read text need transformers, which is not installed ({error}): "
            "pip install 'synth-service[text]'"
        ) from error


def refuse_code(config: Any, where: str) -> None:
    """Raise UsageError where a component's configuration asks for code that is not of its library.

    Kernels of the hub, packages that quantise, and classes of the model's own would be fetched and run.
    """
    for key, value in config.items() if isinstance(config, Mapping) else ():
        if key in _ATTENTION and value is not None and value not in _PLAIN_ATTENTION:
            raise UsageError(_needs_code(where, f"{key} {value!r}"))
        if key in ("auto_map", "quantization_config") and value is not None:
            raise UsageError(_needs_code(where, key))
        refuse_code(value, where)


def _needs_code(where: str, wish: str) -> str:
    return (
        f"{where} needs code of its own ({wish}), and synth runs no code that comes with a model. Adopt a "
        "pipeline that consists of classes of diffusers and transformers alone, as they are."
    )


def build(name: str, kind: str, config: Mapping[str, Any]) -> nn.Module:
    """One component, in float32 and on the CPU, its weights without values.

    Raises LookupError for other classes, and UsageError for what needs code of its own.
    """
    refuse_code(config, f"The {name}")
    if kind not in COMPONENTS[name]:
        raise LookupError(f"{name} cannot be of the class {kind}")
    with torch.device("cpu"), _WithoutInitialisation():
        if name == "text_encoder":
            require_text()
            import transformers

            made = getattr(transformers, kind)(
                transformers.CLIPTextConfig.from_dict(dict(config), attn_implementation=ATTENTION)
            )
        else:
            import diffusers

            made = getattr(diffusers, kind).from_config(dict(config))
    return cast(nn.Module, made)


class Pipeline(nn.Module):
    """The networks of a pipeline.

    ``config`` holds ``pipeline`` (its class in diffusers, for people), ``components`` (class and
    configuration by name), ``scheduler`` (class and configuration), and of those that read text ``tokens``
    (length and number of the padding), ``prompt`` and, where it has classes, ``names``.
    """

    def __init__(self, config: NetworkConfig, image: ImageShape, classes: int) -> None:
        super().__init__()
        self.image, self.classes = image, classes
        self.scheduler: Mapping[str, Any] = config["scheduler"]
        self.prompt: str = config.get("prompt", "")
        self.names: Sequence[str] = config.get("names") or ()
        self._tokens: Mapping[str, int] | None = config.get("tokens")
        self._tokenizer: Any = None
        for name, component in config["components"].items():
            self.add_module(name, build(name, component["class"], component["config"]))
        if self.denoiser is None or (self.reads_text and self._tokens is None):
            raise LookupError("a component is missing")

    def read_files(self, files: Mapping[str, bytes]) -> None:
        """Take the tokenizer from the artifact's further files."""
        if self.reads_text:
            require_text()
            from tokenizers import Tokenizer

            assert self._tokens is not None
            self._tokenizer = Tokenizer.from_str(files[TOKENIZER_FILE].decode())
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(self._tokens["length"])

    @property
    def denoiser(self) -> Any:
        """The network that tells the noise."""
        return next((getattr(self, name) for name in DENOISERS if name in self._modules), None)

    @property
    def autoencoder(self) -> Any:
        """The autoencoder; None where diffusion is in pixels."""
        return self._modules.get("vae")

    @property
    def reads_text(self) -> bool:
        """Whether it takes a prompt."""
        return "text_encoder" in self._modules

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return cast(torch.dtype, next(self.denoiser.parameters()).dtype)

    @property
    def latents(self) -> tuple[int, int, int]:
        """Channels, height and width of what is denoised."""
        size = self.denoiser.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return int(self.denoiser.config.in_channels), int(height), int(width)

    def predict(self, x: Tensor, time: Tensor, labels: Tensor | None, text: Tensor | None) -> Tensor:
        """What the network tells of x, [N, C, H, W], at one time: the noise, or what schedulers expect."""
        x, times = x.to(self.dtype), time.to(x.device).expand(len(x))
        options: dict[str, Any] = {}
        if text is not None:
            options["encoder_hidden_states"] = text
        elif labels is not None:
            options["class_labels"] = labels
        output: Tensor = self.denoiser(x, timestep=times, **options, return_dict=False)[0].float()
        return output[:, : x.shape[1]]  # what follows is the network's guess of the variance

    def encode(self, images: Tensor) -> Tensor:
        """Images in [-1, 1] as what is denoised, float32: the most likely latents, or the images."""
        if self.autoencoder is None:
            return images.float()
        mean = self.autoencoder.encode(images.to(self.dtype)).latent_dist.mode().float()
        return cast(Tensor, (mean - self._shift) * self.autoencoder.config.scaling_factor)

    def decode(self, x: Tensor) -> Tensor:
        """The inverse of ``encode``."""
        if self.autoencoder is None:
            return x
        latents = x / self.autoencoder.config.scaling_factor + self._shift
        return cast(Tensor, self.autoencoder.decode(latents.to(self.dtype), return_dict=False)[0].float())

    @property
    def _shift(self) -> float:
        return float(getattr(self.autoencoder.config, "shift_factor", None) or 0.0)

    def read(self, texts: Sequence[str]) -> Tensor:
        """[N, L, D]: what the text encoder makes of each text; one by one, so that company has no effect."""
        return torch.cat([self._read(text) for text in texts])

    def _read(self, text: str) -> Tensor:
        assert self._tokens is not None
        encoder = cast(Any, self.text_encoder)
        numbers = self._tokenizer.encode(text).ids
        length, pad = self._tokens["length"], self._tokens["pad"]
        padded = numbers + [pad] * (length - len(numbers))
        device = next(encoder.parameters()).device
        read: Tensor = encoder(torch.tensor([padded], device=device))[0]
        return read
