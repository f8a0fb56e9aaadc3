"""Images that lie on a device stay there, and come out as on the CPU."""

from __future__ import annotations

import pytest
import torch

from synth.augment import OPERATIONS, Pipeline, Samples
from synth.augment.table import operation_type

SINGLE = [name for name in OPERATIONS if not operation_type(name).needs]
STATISTICS = {"contrast@1", "equalise@1", "autocontrast@1"}
"""Take a few numbers of each image to the CPU, on which what is done to the image depends."""
THERE_AND_BACK = {"jpeg@1"}
CHOOSING = {"autoaugment@1", "randaugment@1", "trivial_augment_wide@1", "augmix@1"}
"""May choose one of them."""


def pipeline(name):
    return Pipeline.read({"sample": [{"operation": name, "probability": 0.7}]}, seed=3)


def fixed(name):
    """What changes the size is applied to all."""
    return Pipeline.read({"sample": [{"operation": name, "probability": 1.0}]}, seed=3)


def of(name):
    return fixed(name) if operation_type(name).geometry == "resizes" else pipeline(name)


@pytest.mark.parametrize("name", sorted({*SINGLE} - STATISTICS - THERE_AND_BACK - CHOOSING))
def test_images_stay_on_their_device(name):
    # A device without values: what would bring them to the CPU fails.
    images = torch.empty((6, 3, 24, 20), dtype=torch.uint8, device="meta")
    made = of(name).run(Samples(images, tuple(range(6)))).images
    assert made.device.type == "meta"
    assert made.dtype == torch.uint8
    assert made.shape[:2] == (6, 3)


@pytest.mark.cuda
@pytest.mark.parametrize("name", SINGLE)
def test_cuda_and_cpu_make_the_same_images_but_for_rounding(name):
    images = torch.randint(
        0, 256, (6, 3, 24, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    ids = tuple(range(6))
    there = of(name).run(Samples(images.cuda(), ids)).images
    assert there.is_cuda
    difference = (there.cpu().int() - of(name).run(Samples(images, ids)).images.int()).abs()
    assert (difference > 1).float().mean() < 5e-3  # a place between two pixels may be rounded either way
