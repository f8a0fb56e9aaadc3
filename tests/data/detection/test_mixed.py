"""Objects of several images in one, through ``synth augment`` and back."""

from __future__ import annotations

import json

import pytest
import torch

from synth import open_source
from synth.augment import Partners, Pipeline, Samples
from synth.augment.annotated import with_annotations
from synth.offline import augment_dataset, make_augmentation_plan


def expected(source, pipeline):
    def one(at):
        sample = source[at]
        image = torch.from_numpy(sample.image).permute(2, 0, 1)[None]
        return with_annotations(Samples(image, (sample.id,)), [sample])

    whole = Samples.concatenate([one(at) for at in range(len(source))])
    return pipeline.run(whole, 1, Partners(source.ids, one))


@pytest.mark.parametrize("step", ["mosaic", {"operation": "copy_paste", "share": 1}])
def test_mixed_objects_are_written_with_ids_and_boxes_of_their_own(coco, tmp_path, step):
    del coco.content["annotations"][1]["keypoints"]  # whose places are rounded
    coco.write()
    source = open_source(coco.file)
    pipeline = Pipeline.read({"batch": [step]}, seed=1)
    plan = make_augmentation_plan(pipeline, source, copies=2)
    augment_dataset(source, plan, tmp_path / "out")
    ids = [one["id"] for one in json.loads((tmp_path / "out" / "instances.json").read_text())["annotations"]]
    assert len(set(ids)) == len(ids) > 3
    again, made = open_source(tmp_path / "out"), expected(source, pipeline)
    for row in range(2):
        sample = again[2 + row]
        boxes = made.boxes.select(made.boxes.rows == row)
        assert torch.equal(torch.from_numpy(sample.image).permute(2, 0, 1), made.images[row])
        assert torch.equal(torch.from_numpy(sample.objects.boxes), boxes.corners)
        assert torch.equal(torch.from_numpy(sample.objects.labels), boxes.labels)
        assert torch.equal(torch.from_numpy(sample.objects.masks), boxes.masks)
