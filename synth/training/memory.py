"""What to do about a batch that the device's memory cannot hold."""

from __future__ import annotations

import torch

from synth.errors import MemoryExceededError
from synth.sampling.core import is_out_of_memory
from synth.training.batches import KeyedBatches, TrainingBatch
from synth.training.module import FamilyModule


def memory_exceeded(
    module: FamilyModule, batches: KeyedBatches, device: torch.device, devices: int = 1
) -> MemoryExceededError:
    """The error to raise once a step has run out of memory: it names the largest half, quarter ... that fits.

    To be called when the step's own error is gone, since that holds the tensors of the step. The weights of
    ``module`` are not to be used afterwards: steps are tried on it. Each of ``devices`` holds its share.
    """
    size, image = batches.batch_size, module.image
    module.to(device)
    torch.compiler.reset()  # and with it what graphs hold of the memory
    fitting = size // devices // 2
    with torch.compiler.set_stance("force_eager"):
        while fitting and not _fits(module, _first(batches, fitting), device):
            fitting //= 2
    if fitting:
        remedy = f"A batch of {fitting * devices} fits: start again with --batch-size {fitting * devices}."
    else:
        remedy = "Not even one image fits: choose a smaller --size or --preset, or another --device."
    return MemoryExceededError(
        f"A batch of {size} images of {image} does not fit into the memory of {_describe(device)}. {remedy}"
    )


def _first(batches: KeyedBatches, size: int) -> TrainingBatch:
    return next(iter(KeyedBatches(batches.images, size, batches.seed, 0, target=batches.target)))


def _fits(module: FamilyModule, batch: TrainingBatch, device: torch.device) -> bool:
    """Whether there is memory for a step: forward, backward and the state of new optimisers."""
    fits = True
    try:
        _step(module, batch, device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        fits = False
    module.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return fits


def _step(module: FamilyModule, batch: TrainingBatch, device: torch.device) -> None:
    images = batch.floats.to(device)
    labels = None if batch.labels is None else batch.labels.to(device)
    with module.autocast():
        loss, _ = module.loss(images, labels, batch.position.to(device))
    loss.backward()  # type: ignore[no-untyped-call]
    optimisers = module.configure_optimizers()
    for optimiser in optimisers if isinstance(optimisers, list) else [optimisers]:
        optimiser.step()


def _describe(device: torch.device) -> str:
    if device.type != "cuda":
        return str(device)
    total = torch.cuda.get_device_properties(device).total_memory
    return f"{device} ({total / 2**30:.0f} GiB)"
