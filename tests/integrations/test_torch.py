"""The same augmented samples from every way in."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from synth.augment import Pipeline, Samples
from synth.cli import main
from synth.data import open_source
from synth.errors import InterruptedRunError, SourceError
from synth.integrations.torch import as_torch, as_transform
from synth.offline import augment_dataset, make_augmentation_plan

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


@pytest.fixture(scope="module")
def golden(source):
    pipeline = Pipeline.read(SPEC, seed=11)
    return digest(pipeline.run(Samples(originals(source), tuple(source.ids)), epoch=1).images)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes:UserWarning")
@pytest.mark.parametrize("workers", [0, 1, 4])
def test_any_number_of_workers_in_any_order_gives_the_same_samples(source, golden, workers):
    dataset = as_torch(source, Pipeline.read(SPEC, seed=11))
    dataset.set_epoch(1)
    order = torch.Generator().manual_seed(workers)
    loader = DataLoader(
        dataset,
        batch_size=48,
        shuffle=True,
        num_workers=workers,
        generator=order,
        collate_fn=lambda items: torch.stack([image for image, _ in items]),
    )
    assert digest(torch.cat(list(loader))) == golden


def test_a_transform_gives_the_same_samples_one_by_one(source, golden):
    transform = as_transform(Pipeline.read(SPEC, seed=11))
    transform.set_epoch(1)
    composed = v2.Compose([transform, v2.Identity()])
    assert digest([composed(image) for image in originals(source)]) == golden
    assert digest(transform(originals(source))) == golden


def test_ranks_and_a_restart_in_the_middle_give_the_same_samples(source, golden):
    def part(positions):
        dataset = as_torch(source, Pipeline.read(SPEC, seed=11))
        dataset.set_epoch(1)
        return [image for image, _ in dataset.__getitems__(positions)]

    assert digest(part(range(0, 256, 2)) + part(range(1, 256, 2))) == golden
    assert digest(part(range(100)) + part(range(100, 256))) == golden


def test_the_command_writes_the_same_samples_also_when_it_was_stopped(source, golden, tiny, tmp_path):
    data = tiny.source(tmp_path / "toys.npz", count=256)
    (tmp_path / "pipeline.json").write_text(json.dumps(SPEC))
    plan = make_augmentation_plan(
        Pipeline.read(SPEC, seed=11), source, copies=2, format="npz", shard_size=100
    )

    def stop(done, total):
        if done == 300:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match="300 of 512"):
        augment_dataset(source, plan, tmp_path / "one", progress=stop)
    augment_dataset(source, plan, tmp_path / "one", resume=True)
    command = [
        "augment",
        str(tmp_path / "pipeline.json"),
        "--data",
        str(data),
        "--out",
        str(tmp_path / "two"),
    ]
    assert main([*command, "--copies", "2", "--seed", "11", "--format", "npz"]) == 0
    for folder in ("one", "two"):
        with np.load(tmp_path / folder / "data.npz") as made:
            second = torch.from_numpy(made["images"][256:]).permute(0, 3, 1, 2).contiguous()
            assert digest(second) == golden
            assert made["labels"].tolist() == 2 * source.labels.tolist()
            assert made["sources"].tolist() == 2 * list(source.ids)


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
    with pytest.raises(SourceError, match="ToImage"):
        as_transform(Pipeline.read({"sample": ["invert"]}))(torch.zeros(3, 8, 8))
