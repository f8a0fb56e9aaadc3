"""Training of the ``vae`` family.

The decoder is a Gaussian whose variance is the one that fits best, so that reconstruction and KL are both in
nats and need no weight between them (Rybkin et al., "Simple and effective VAE training with calibrated
decoders", arXiv 2006.13202). Warm-up and free bits keep latents from dying (Bowman et al., arXiv 1511.06349;
Kingma et al., arXiv 1606.04934).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor

from synth.artifacts import Metric
from synth.data import ImageSet
from synth.models.program import NetworkConfig
from synth.models.vae import VAE
from synth.randomness import normals, stream_id
from synth.training.density import fit_mixture
from synth.training.module import GeneratorModule
from synth.training.recipe import Recipe

_NOISE = stream_id("training/posterior")
_CHUNK = 256


class VAERecipe(Recipe):
    """Recipe of a variational autoencoder."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {"widths": [48, 96], "blocks": 1, "latent": 64},
        "small": {"widths": [64, 128, 256], "blocks": 1, "latent": 64},
        "base": {"widths": [64, 128, 256, 512], "blocks": 2, "latent": 128},
        "large": {"widths": [128, 256, 512, 512], "blocks": 3, "latent": 256},
    }

    widths: list[int] = Field(
        default_factory=list, description="Channels at 1/2, 1/4, ... of the size. Default: by preset."
    )
    blocks: int = Field(1, ge=1, le=16, description="Residual blocks at each of these.")
    latent: int = Field(64, ge=1, le=1024, description="Dimensions of the latent space.")
    components: int = Field(
        12, ge=1, le=256, description="Most Gaussians per class in the density that samples are drawn from."
    )
    kl_warmup: float = Field(0.1, ge=0, le=1, description="Share of training over which the KL term rises.")
    free_bits: float = Field(0.05, ge=0, description="KL in nats that each latent dimension has for free.")

    @model_validator(mode="after")
    def _check_widths(self) -> VAERecipe:
        if not 1 <= len(self.widths) <= 8 or min(self.widths) < 2 or max(self.widths) > 4096:
            raise ValueError(f"widths must be 1 to 8 numbers of channels from 2 to 4096, not {self.widths}")
        return self


class VAEModule(GeneratorModule):
    """Lightning module of the ``vae`` family."""

    family = "vae"
    recipe: VAERecipe

    def network_config(self) -> NetworkConfig:
        fields = {"widths", "blocks", "latent", "components"}
        return self.recipe.model_dump(mode="json", include=fields)

    def loss(
        self, images: Tensor, labels: Tensor | None, position: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """-ELBO per pixel in nats, up to a constant: D/2 log(mean squared error) + KL, over D pixels."""
        noise = normals(self.recipe.seed, position, _NOISE, self.recipe.latent)
        output, mean, log_variance = self.network(images, labels, noise)
        error = (output - images).square().mean()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean(dim=0)
        pixels = images[0].numel()
        warmup = min(1.0, (self.progress + 1e-3) / max(self.recipe.kl_warmup, 1e-3))
        penalty = warmup * kl.clamp(min=self.recipe.free_bits).sum()
        loss = 0.5 * torch.log(error + 1e-6) + penalty / pixels
        return loss, {"rmse": error.sqrt(), "kl": kl.sum()}

    @torch.inference_mode()
    def complete(self, images: ImageSet, limit: int | None = None) -> None:
        """Fit the mixture from which latents are drawn, on the posterior means of real images."""
        chosen = images if limit is None else images.sample(limit)
        means, _ = self._encode(chosen)
        components = self.recipe.components if limit is None else 1
        mixture = fit_mixture(
            means.double().numpy(),
            None if chosen.labels is None else chosen.labels.numpy(),
            classes=max(self.classes, 1),
            components=components,
            seed=self.recipe.seed,
        )
        density = cast(VAE, self.average).density
        density.weights.zero_()
        density.weights[:, : mixture.weights.shape[1]] = torch.from_numpy(mixture.weights)
        density.means[:, : mixture.means.shape[1]] = torch.from_numpy(mixture.means)
        density.factors[:, : mixture.factors.shape[1]] = torch.from_numpy(mixture.factors)

    @torch.inference_mode()
    def measure(self, images: ImageSet, kind: str) -> Mapping[str, Metric]:
        figures = self.watch(images)
        how = f"{len(images)} {kind}, averaged weights"
        return {
            "reconstruction_rmse": Metric(
                value=figures["reconstruction_rmse"],
                how=f"root mean squared error, pixels in [0, 1]; {how}",
            ),
            "kl_nats": Metric(value=figures["kl_nats"], how=f"posterior to unit prior, mean; {how}"),
        }

    @torch.inference_mode()
    def watch(self, images: ImageSet) -> Mapping[str, float]:
        means, log_variances = self._encode(images)
        errors = []
        for at in range(0, len(images), _CHUNK):
            rows = slice(at, at + _CHUNK)
            real, labels = self._prepare(images, rows)
            with self.autocast():
                output = cast(VAE, self.average).decoder(means[rows].to(real), labels)
            errors.append((output.float() - real).square().mean(dim=(1, 2, 3)).cpu())
        kl = 0.5 * (means.square() + log_variances.exp() - 1.0 - log_variances).sum(dim=1)
        return {
            "reconstruction_rmse": float(torch.cat(errors).mean().sqrt()) / 2,
            "kl_nats": float(kl.mean()),
        }

    def _encode(self, images: ImageSet) -> tuple[Tensor, Tensor]:
        """Posterior means and log-variances, float32 [N, latent] on the CPU."""
        parts = []
        for at in range(0, len(images), _CHUNK):
            real, labels = self._prepare(images, slice(at, at + _CHUNK))
            with self.autocast():
                parts.append(cast(VAE, self.average).encoder(real, labels))
        means, log_variances = zip(*parts, strict=True)
        return torch.cat(means).float().cpu(), torch.cat(log_variances).float().cpu()

    def _prepare(self, images: ImageSet, rows: slice) -> tuple[Tensor, Tensor | None]:
        real = images.images[rows].to(self.device).to(torch.float32) / 127.5 - 1.0
        return real, None if images.labels is None else images.labels[rows].to(self.device)
