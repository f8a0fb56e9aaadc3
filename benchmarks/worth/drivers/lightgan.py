"""lightweight-gan at the defaults of its command line, at 32 x 32 pixels (a power of two) and in RGB.

It asks for CUDA when it is imported, and moves tensors there by name. Without CUDA its calls are led to the
CPU from here; its files are as they come.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import torch
from task import arguments, collect, finish, read_images, write_folder


class WithoutCuda:
    """``torch`` as lightweight-gan sees it where there is no CUDA: what it sends there stays on the CPU."""

    cuda = SimpleNamespace(empty_cache=lambda: None)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def device(name: str) -> torch.device:
        return torch.device("cpu")


def load(device: str) -> type:
    """Its Trainer."""
    if device != "cpu":
        from lightweight_gan.lightweight_gan import Trainer

        return Trainer
    asked = torch.cuda.is_available
    torch.cuda.is_available = lambda: True
    try:
        from lightweight_gan import lightweight_gan
    finally:
        torch.cuda.is_available = asked
    lightweight_gan.torch = WithoutCuda()
    torch.Tensor.cuda = lambda self, *_, **__: self
    torch.nn.Module.cuda = lambda self, *_, **__: self
    return lightweight_gan.Trainer


def main() -> None:
    """Train, sample, write."""
    options = arguments()
    trainer_type = load(options.device)
    images = read_images(options)
    height, width, channels = images.shape[1:]
    side = 1 << (max(height, width) - 1).bit_length()
    with TemporaryDirectory() as folder:
        top, left = write_folder(images, Path(folder) / "images", side)
        trainer = trainer_type(
            base_dir=folder,
            image_size=side,
            batch_size=10,
            gradient_accumulate_every=4,
            attn_res_layers=[32],
            disc_output_size=1,
            aug_types=["cutout", "translation"],
            use_aim=False,
            save_every=10**9,
            evaluate_every=10**9,
        )
        trainer.set_data_src(str(Path(folder) / "images"))
        trainer.init_GAN()
        trainer.evaluate = lambda *_, **__: None  # its pictures
        began = time.monotonic()
        while time.monotonic() - began < options.seconds:
            trainer.train()
        seconds = time.monotonic() - began
    generator = trainer.GAN.GE.eval()  # the average; until step 25,000 it is set to the weights now and then
    if trainer.steps < 20_000:
        generator = trainer.GAN.G.eval()

    def sample(count: int) -> torch.Tensor:
        latents = torch.randn(count, trainer.latent_dim)
        if options.device != "cpu":
            latents = latents.to(options.device)
        return generator(latents)[:, :, top : top + height, left : left + width]

    made = collect(options, sample, 100)
    figures = {"images_seen": trainer.steps * 40, "train_seconds": seconds}
    finish(options, made, channels == 1, **figures)


if __name__ == "__main__":
    main()
