"""pythae's VAE at its defaults: latent size 10, its own encoder and decoder, Adam 1e-4, batches of 64."""

from __future__ import annotations

import time
from tempfile import TemporaryDirectory

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.samplers import NormalSampler
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from task import arguments, collect, finish, read_images


class TimeUpError(Exception):
    """Ends the training."""


class Clock(TrainingCallback):
    """Counts steps, and ends the training when the time is up."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.until, self.steps = time.monotonic() + seconds, 0

    def on_train_step_end(self, training_config: BaseTrainerConfig, **kwargs: object) -> None:
        self.steps += 1
        if time.monotonic() >= self.until:
            raise TimeUpError


def main() -> None:
    """Train, sample, write."""
    options = arguments()
    images = torch.from_numpy(read_images(options)).permute(0, 3, 1, 2).float() / 255
    model = VAE(VAEConfig(input_dim=tuple(images.shape[1:])))
    with TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(
            output_dir=folder, num_epochs=100_000, seed=options.seed, no_cuda=options.device == "cpu"
        )
        clock = Clock(options.seconds)
        data = BaseDataset(data=images, labels=torch.zeros(len(images)))
        trainer = BaseTrainer(model=model, train_dataset=data, training_config=settings, callbacks=[clock])
        began = time.monotonic()
        try:
            trainer.train()
        except TimeUpError:
            seconds = time.monotonic() - began
    model.eval()
    sampler = NormalSampler(model=model)

    def sample(count: int) -> torch.Tensor:
        return sampler.sample(num_samples=count, batch_size=count, return_gen=True)

    made = collect(options, sample, 500)
    seen = clock.steps * settings.per_device_train_batch_size
    finish(options, made, images.shape[1] == 1, images_seen=seen, train_seconds=seconds)


if __name__ == "__main__":
    main()
