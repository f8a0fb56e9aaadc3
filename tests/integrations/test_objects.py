"""Objects and masks of sources in training loops."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from synth import open_source
from synth.augment import Pipeline
from synth.integrations.torch import as_torch, collate
from synth.offline import augment_dataset, make_augmentation_plan

FLIP = {"sample": [{"operation": "horizontal_flip", "probability": 1}]}


@pytest.fixture
def folder(tmp_path):
    """COCO: a square of 4 x 4 pixels with its outline and a keypoint in one image, nothing in the other."""
    (tmp_path / "images").mkdir()
    for value, name in enumerate(("a.png", "b.png")):
        pixels = np.random.default_rng(value).integers(0, 256, (10, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / name)
    square = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [2, 3, 4, 4],
        "segmentation": [[2, 3, 6, 3, 6, 7, 2, 7]],
        "keypoints": [2, 3, 2],
        "iscrowd": 0,
    }
    content = {
        "images": [{"id": number + 1, "file_name": f"{'ab'[number]}.png"} for number in range(2)],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [square],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return tmp_path


def test_as_torch_gives_boxes_labels_masks_and_points_that_moved_with_the_image(folder):
    source = open_source(folder)
    dataset = as_torch(source, Pipeline.read(FLIP))
    (images, targets) = next(iter(DataLoader(dataset, batch_size=2, collate_fn=collate)))
    assert torch.equal(images[0], torch.from_numpy(source[0].image).permute(2, 0, 1).flip(-1))
    assert [one.tolist() for one in targets["boxes"]] == [[[14, 3, 18, 7]], []]
    assert [one.tolist() for one in targets["labels"]] == [[0], []]
    assert [one.tolist() for one in targets["objects"]] == [[0], []]
    assert [one.tolist() for one in targets["points"]] == [[[17.5, 3.5]], []]
    assert [one.tolist() for one in targets["owners"]] == [[0], []]
    assert [one.shape for one in targets["masks"]] == [(1, 10, 20), (0, 10, 20)]
    mask = targets["masks"][0][0]
    assert mask.dtype == torch.bool
    assert mask[3:7, 14:18].all()
    assert mask.sum() == 16


def test_the_command_and_as_torch_give_the_same_objects(folder, tmp_path):
    source = open_source(folder)
    pipeline = Pipeline.read(
        {"sample": ["affine", "elastic", {"operation": "resized_crop", "size": [30, 30]}]}
    )
    plan = make_augmentation_plan(pipeline, source, copies=2)
    augment_dataset(source, plan, tmp_path / "out")
    made = open_source(tmp_path / "out")
    dataset = as_torch(source, pipeline)
    for copy in (0, 1):
        dataset.set_epoch(copy)
        for row in (0, 1):
            image, target = dataset[row]
            written = made[2 * copy + row]
            assert np.array_equal(image.permute(1, 2, 0), written.image)
            assert np.allclose(target["boxes"], written.objects.boxes, atol=1e-3)
            assert np.array_equal(target["masks"], written.objects.masks)


def test_a_source_of_masks_gives_pairs_of_images_and_masks(tmp_path):
    mask = np.zeros((10, 20), dtype=np.uint8)
    mask[2:4, :5] = 3
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        Image.fromarray(mask * 20 if name == "images" else mask).save(tmp_path / name / "a.png")
    (_, target) = as_torch(open_source(tmp_path), Pipeline.read(FLIP))[0]
    assert np.array_equal(target, mask[:, ::-1])


def test_masks_of_instances_in_data_sets_of_users_keep_their_type():
    masks = torch.zeros(1, 4, 6, dtype=torch.uint8)
    masks[0, 1:3, 0:2] = 1
    target = {"boxes": [[0.0, 1, 2, 3]], "labels": [5], "masks": masks}
    ((_, made),) = as_torch([(np.zeros((4, 6), dtype=np.uint8), target)], Pipeline.read(FLIP)).__getitems__(
        [0]
    )
    assert torch.equal(made["masks"], masks.flip(-1))
    assert made["boxes"].tolist() == [[4, 1, 6, 3]]
