"""Data sets and transforms for PyTorch, and the data sets that the command writes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from synth.augment import Pipeline
from synth.cli import main
from synth.data import open_source
from synth.errors import SourceError
from synth.integrations.torch import as_torch, as_transform

SPEC = {
    "sample": [
        {"operation": "crop", "padding": 2, "edge": "reflect"},
        {"operation": "rotate", "probability": 0.5},
        {"one_of": ["gamma", "equalise", "contrast"]},
        "gaussian_noise",
        {"operation": "random_erasing", "probability": 0.5},
    ]
}


@pytest.fixture(scope="module")
def source(tiny, tmp_path_factory):
    return open_source(tiny.source(tmp_path_factory.mktemp("golden") / "toys.npz", count=256))


def digest(images):
    """Of the bytes of all images, whatever their order."""
    return hashlib.sha256(b"".join(sorted(image.numpy().tobytes() for image in images))).hexdigest()


def originals(source):
    return torch.from_numpy(np.stack([source[row].image for row in range(len(source))])).permute(0, 3, 1, 2)


def test_a_set_of_grey_and_colour_images_of_several_sizes_is_written_in_colour(tmp_path):
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photos" / "colour.png")
    Image.fromarray(pixels[:9, :, 0]).save(tmp_path / "photos" / "grey.png")
    command = ["augment", "basic", "--data", str(tmp_path / "photos"), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    seen = set()
    for file in (tmp_path / "out").rglob("*.png"):
        with Image.open(file) as image:
            seen.add((image.mode, image.size))
            assert "synth augment PIPELINE --data SOURCE --seed 0" in image.text["Comment"]
    assert seen == {("RGB", (20, 12)), ("RGB", (20, 9))}
    assert main([*command[:4], "--out", str(tmp_path / "none"), "--copies", "0"]) == 2
    assert main([*command[:4], "--out", str(tmp_path / "none"), "--format", "npz"]) == 2


def test_workers_that_stay_see_the_next_epoch(source):
    dataset = as_torch(source, Pipeline.read(SPEC, seed=11))
    loader = DataLoader(
        dataset,
        batch_size=128,
        num_workers=1,
        persistent_workers=True,
    )
    seen = []
    for epoch in (0, 1, 0):
        dataset.set_epoch(epoch)
        seen.append(digest(torch.cat([images for images, _ in loader])))
    assert seen[0] == seen[2] != seen[1]


def test_labels_stay_with_their_images_and_sizes_may_differ(source):
    dataset = as_torch(source, Pipeline.read({"sample": ["invert"]}))
    items = dataset.__getitems__([5, 3])
    assert [label for _, label in items] == [source[5].label, source[3].label]
    assert torch.equal(items[0][0], 255 - originals(source)[5])
    assert torch.equal(dataset[3][0], items[1][0])
    assert len(dataset) == 256


def test_images_without_classes_are_batches_of_images_alone(tiny, tmp_path):
    source = open_source(tiny.source(tmp_path / "plain.npz", count=6, classes=0))
    (batch,) = DataLoader(as_torch(source, Pipeline.read({"sample": ["invert"]})), batch_size=6)
    assert torch.equal(batch, 255 - originals(source))


def test_a_transform_refuses_what_it_cannot_key():
    with pytest.raises(SourceError, match="scaling to floats after it"):
        as_transform(Pipeline.read({"sample": ["invert"]}))(torch.zeros(3, 8, 8))
