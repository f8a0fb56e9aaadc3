"""denoising-diffusion-pytorch at its defaults: U-Net of 64, 1,000 steps, 250 when sampling, batches of 16.

It takes images of 32 x 32 pixels, and mirrors them, as its Trainer does unless told otherwise. Its own
measure, which would fetch a network, is off, and so are its checkpoints and pictures.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from denoising_diffusion_pytorch import GaussianDiffusion, Trainer, Unet
from task import arguments, at_once_after, collect, finish, read_images, write_folder

_NEVER = 10**9
_COARSEST = 8
"""By which the U-Net's sides must divide."""


def main() -> None:
    """Train, sample, write."""
    options = arguments()
    images = read_images(options)
    height, width, channels = images.shape[1:]
    side = -(-max(height, width) // _COARSEST) * _COARSEST
    network = Unet(dim=64, channels=channels)
    diffusion = GaussianDiffusion(network, image_size=side, sampling_timesteps=250)
    with TemporaryDirectory() as folder:
        top, left = write_folder(images, Path(folder) / "images", side)
        trainer = Trainer(
            diffusion,
            str(Path(folder) / "images"),
            train_num_steps=_NEVER,
            save_and_sample_every=_NEVER,
            calculate_fid=False,
            results_folder=str(Path(folder) / "results"),
        )

        def stop() -> None:
            trainer.train_num_steps = 0  # which it asks before each step

        began = time.monotonic()
        at_once_after(options.seconds, stop)
        trainer.train()
        seconds = time.monotonic() - began
    averaged = trainer.ema.ema_model

    def sample(count: int) -> torch.Tensor:
        return averaged.sample(batch_size=count)[:, :, top : top + height, left : left + width]

    made = collect(options, sample, 16 if trainer.device.type == "cpu" else 500)
    figures = {"images_seen": trainer.step * trainer.batch_size, "train_seconds": seconds}
    finish(options, made, channels == 1, **figures)


if __name__ == "__main__":
    main()
