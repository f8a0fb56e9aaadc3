"""From a source through ``synth augment`` and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from synth import open_source
from synth.augment import Pipeline
from synth.cli import main
from synth.data.detection.pictures import with_palette
from synth.errors import ConfigError, InterruptedRunError, ResumeError, SourceError
from synth.integrations.torch import as_torch, collate
from synth.offline import augment_dataset, make_augmentation_plan

NOTHING = {"sample": [{"operation": "invert", "probability": 0}]}
FLIP = {"sample": [{"operation": "horizontal_flip", "probability": 1}]}
SHIFT = {"min_visible": 0.2, "sample": [{"operation": "translate", "x": -0.25, "y": 0}]}


def augment(source, out, pipeline=NOTHING, **request):
    source = open_source(source)
    plan = make_augmentation_plan(Pipeline.read(pipeline), source, **request)
    augment_dataset(source, plan, out)
    return open_source(out)


def test_coco_comes_back_as_it_was(coco, tmp_path):
    augment(coco.file, tmp_path / "out")
    made = json.loads((tmp_path / "out" / "instances.json").read_text())
    expected = coco.content
    expected["categories"][1]["supercategory"] = ""
    assert made["categories"] == expected["categories"]
    assert made["licenses"] == expected["licenses"]
    assert [image["id"] for image in made["images"]] == [42, 5]
    assert [image["source"] for image in made["images"]] == ["a.png", "sub/b.png"]
    assert made["images"][0]["license"] == 3
    assert len(made["annotations"]) == 3
    for mine, theirs in zip(made["annotations"], expected["annotations"], strict=True):
        given = {key: value for key, value in theirs.items() if key != "area"}
        assert {key: mine[key] for key in given} == given
    # Where it was not said, the area of a box or the number of pixels.
    assert [one["area"] for one in made["annotations"]] == [33.5, 16, 3]


def test_copies_of_coco_have_ids_of_their_own(coco, tmp_path):
    source = augment(coco.file, tmp_path / "out", FLIP, copies=3)
    assert [one.id for one in source.catalogue.images] == [42, 5, 85, 48, 128, 91]
    assert [one.id for one in source.catalogue.annotations] == [101, 11, 12, 203, 113, 114, 305, 215, 216]


def test_what_moves_is_written_with_its_new_area_and_pixels(coco, tmp_path):
    augment(coco.file, tmp_path / "out", FLIP)
    made = json.loads((tmp_path / "out" / "instances.json").read_text())["annotations"]
    before = open_source(coco.file)[0].objects.masks[0]
    columns = np.flatnonzero(before.any(0))
    rows = np.flatnonzero(before.any(1))
    # An object whose pixels are known gets the box of its pixels.
    assert made[0]["bbox"] == [
        20 - columns[-1] - 1,
        rows[0],
        columns[-1] + 1 - columns[0],
        rows[-1] + 1 - rows[0],
    ]
    assert made[0]["area"] == before.sum()
    assert made[0]["segmentation"]["size"] == [10, 20]
    assert made[1]["bbox"] == [16, 0, 4, 4]
    # Pixel 1 of 20 becomes pixel 18.
    assert made[1]["keypoints"] == [18, 2, 2, 0, 0, 0]
    assert made[1]["num_keypoints"] == 1
    assert made[2]["iscrowd"] == 1
    after = open_source(tmp_path / "out")[0].objects.masks[0]
    assert (after == before[:, ::-1]).all()


def test_objects_that_leave_the_image_are_dropped_and_keypoints_that_do_are_not_labelled(coco, tmp_path):
    coco.content["annotations"][1]["bbox"] = [0, 0, 10, 4]
    coco.write()
    augment(coco.file, tmp_path / "out", SHIFT)
    made = json.loads((tmp_path / "out" / "instances.json").read_text())["annotations"]
    assert [one["id"] for one in made] == [101, 11]
    assert made[1]["bbox"] == [0, 0, 5, 4]
    assert made[1]["keypoints"] == [0] * 6
    assert made[1]["num_keypoints"] == 0


def test_voc_comes_back_as_it_was_and_what_is_cut_off_is_truncated(voc, tmp_path):
    classes = np.zeros((10, 20), dtype=np.uint8)
    classes[1:7, 2:12] = 12
    numbers = np.where(classes == 12, 1, 0)
    numbers[0, 0] = 2
    for name, values in (("SegmentationClass", classes), ("SegmentationObject", numbers)):
        (voc.folder / name).mkdir()
        with_palette(values).save(voc.folder / name / "one.png")
    same = augment(voc.folder, tmp_path / "same")
    text = (tmp_path / "same" / "Annotations" / "000000000000.xml").read_text()
    assert "<xmin>3</xmin>" in text
    assert "<ymin>2</ymin>" in text
    assert "<xmax>12</xmax>" in text
    assert "<ymax>7</ymax>" in text
    before = open_source(voc.folder)
    assert same[0].objects.boxes.tolist() == before[0].objects.boxes.tolist()
    assert (same[0].mask == classes).all()
    assert (same[0].objects.masks == before[0].objects.masks).all()
    flags = [(one.difficult, one.truncated, one.pose) for one in same.catalogue.annotations]
    assert flags == [(True, True, "Left"), (False, False, "Unspecified")]
    as_coco = augment(voc.folder, tmp_path / "coco", format="coco")
    assert [(one.difficult, one.truncated, one.pose) for one in as_coco.catalogue.annotations] == [
        (True, True, "Left"),
        (False, False, ""),
    ]
    voc.write(voc.xml())
    assert augment(voc.folder, tmp_path / "none")[0].objects is None
    voc.write(voc.xml(voc.object("dog", (3, 2, 12, 7))))
    moved = augment(voc.folder, tmp_path / "moved", SHIFT)
    assert moved[0].objects.boxes.tolist() == [[0, 1, 7, 7]]
    assert moved.catalogue.annotations[0].truncated
    assert (moved[0].mask[:, :15] == classes[:, 5:]).all()


def test_yolo_comes_back_as_it_was(yolo, tmp_path):
    yolo.write("1 0.5 0.5 0.25 0.4\n0 0.1 0.2 0.4 0.6\n")
    augment(yolo.folder, tmp_path / "boxes")
    assert (tmp_path / "boxes" / "labels" / "000000000000.txt").read_text() == ""
    # The second reaches from -0.1 to 0.3 and from -0.1 to 0.5, and is cut off at the edges.
    assert (tmp_path / "boxes" / "labels" / "000000000001.txt").read_text() == (
        "1 0.5 0.5 0.25 0.4\n0 0.15 0.25 0.3 0.5\n"
    )


def test_outlines_of_yolo_come_back_and_turn_into_outlines_of_pixels(yolo, tmp_path):
    augment(yolo.folder, tmp_path / "same")
    lines = (tmp_path / "same" / "labels" / "000000000001.txt").read_text().splitlines()
    # In a file of outlines, a box is the outline of its corners.
    assert lines == ["1 0.375 0.3 0.625 0.3 0.625 0.7 0.375 0.7", "0 0.1 0.2 0.4 0.2 0.4 0.8 0.1 0.8"]
    before = open_source(yolo.folder)[1].objects
    flipped = augment(yolo.folder, tmp_path / "flipped", FLIP)
    assert (flipped[1].objects.masks[1] == before.masks[1][:, ::-1]).all()
    assert "val" not in (tmp_path / "flipped" / "data.yaml").read_text().split("\n", 1)[1]
    assert flipped.info.categories == ("cat", "dog")


def test_outlines_that_leave_the_image_are_written_to_yolo_as_what_is_inside(coco, tmp_path):
    coco.content["annotations"] = [coco.content["annotations"][0]]
    coco.content["annotations"][0]["segmentation"] = [[15, 2, 25, 2, 25, 6, 15, 6]]
    coco.content["annotations"][0]["bbox"] = [15, 2, 10, 4]
    coco.write()
    made = augment(coco.file, tmp_path / "out", format="yolo")
    assert made[0].objects.masks[0].sum() == 20
    assert made[0].objects.boxes.tolist() == [[15, 2, 20, 6]]


@pytest.mark.parametrize("layout", ["coco", "voc", "yolo"])
def test_each_layout_can_be_written_as_any(layout, coco, tmp_path):
    before = open_source(coco.file)[0].objects
    made = augment(coco.file, tmp_path / "out", format=layout)
    after = made[0].objects
    assert made.info.categories == ("cat", "dog")
    assert (after.masks[0] == before.masks[0]).all()
    count = 2 if layout == "yolo" else 3
    assert len(after) == count
    apart = np.abs(after.boxes[:2] - before.boxes[:2]).max(1)
    # VOC knows whole pixels only, and YOLO takes the box of an outline.
    assert (apart <= {"coco": 1e-4, "voc": 0.5, "yolo": 2.5}[layout]).all()


def test_masks_come_back_in_their_own_numbers(tmp_path, picture):
    picture(tmp_path / "in" / "image" / "a.png")
    (tmp_path / "in" / "label").mkdir()
    mask = np.zeros((10, 20), dtype=np.uint8)
    mask[2:4, 3:9] = 255
    mask[5] = 7
    Image.fromarray(mask).save(tmp_path / "in" / "label" / "a.png")
    made = augment(tmp_path / "in", tmp_path / "out", FLIP)
    assert (made[0].mask == mask[:, ::-1]).all()
    assert (augment(tmp_path / "in", tmp_path / "voc", FLIP, format="voc")[0].mask == mask[:, ::-1]).all()
    with pytest.raises(ConfigError, match="holds objects, and the source has none"):
        augment(tmp_path / "in", tmp_path / "none", format="coco")


def test_the_command_takes_the_format_of_the_source_and_tells_what_another_one_loses(coco, tmp_path, capsys):
    (tmp_path / "flip.json").write_text(json.dumps(FLIP))
    command = ["augment", str(tmp_path / "flip.json"), "--data", str(coco.file), "--out"]
    assert main([*command, str(tmp_path / "own")]) == 0
    assert (tmp_path / "own" / "instances.json").is_file()
    capsys.readouterr()
    assert main([*command, str(tmp_path / "yolo"), "--format", "yolo"]) == 0
    told = capsys.readouterr().err
    assert "1 crowd is left out" in told
    assert "keypoints of 1 object are left out" in told
    assert main([*command, str(tmp_path / "none"), "--format", "imagefolder"]) == 2
    assert "would lose. Use coco or voc or yolo or masks" in capsys.readouterr().err
    assert (
        main(
            [
                "augment",
                "basic",
                "--data",
                str(coco.folder / "images" / "sub"),
                "--out",
                str(tmp_path / "no"),
                "--format",
                "voc",
            ]
        )
        == 2
    )


def test_an_interrupted_set_goes_on_to_the_same_bytes_unless_the_boxes_changed(coco, tmp_path):
    source = open_source(coco.file)
    pipeline = Pipeline.read({"sample": ["rotate", "elastic", "horizontal_flip"]})
    plan = make_augmentation_plan(pipeline, source, copies=3, shard_size=2)

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        augment_dataset(source, plan, tmp_path / "one", progress=stop)
    augment_dataset(source, plan, tmp_path / "one", resume=True)
    augment_dataset(source, plan, tmp_path / "two")
    for path in (tmp_path / "two").rglob("*"):
        if path.is_file() and path.name != "manifest.json":
            assert path.read_bytes() == (tmp_path / "one" / path.relative_to(tmp_path / "two")).read_bytes()
    coco.content["annotations"][0]["bbox"][0] = 3.5
    coco.write()
    changed = open_source(coco.file)
    again = make_augmentation_plan(pipeline, changed, copies=3, shard_size=2)
    with pytest.raises(ResumeError, match="annotations is"):
        augment_dataset(changed, again, tmp_path / "two", resume=True)


def test_batches_take_their_annotations_along(coco):
    from synth.offline.augment import augment_shard
    from synth.offline.plan import shards

    source = open_source(coco.file)
    plan = make_augmentation_plan(Pipeline.read(NOTHING), source)
    (batch,) = augment_shard(source, plan, next(shards(plan)))
    part = batch.part(1, batch.images[1:])
    assert [one.record.origin for one in part.annotations] == ["sub/b.png"]
    both = type(batch).concatenate([batch.part(0, batch.images[:1]), part])
    assert [len(one.objects) for one in both.annotations] == [3, 0]
    assert torch.equal(both.images, batch.images)


def test_objects_that_mixing_brings_in_have_ids_of_their_own(coco, tmp_path):
    coco.content["annotations"][0]["image_id"] = 5
    coco.write()
    made = augment(coco.file, tmp_path / "out", {"batch": ["mosaic"]}, copies=4)
    catalogue = made.catalogue
    own = {11: 42, 12: 42, 101: 5}
    ids = [one.id for one in catalogue.annotations]
    assert len(set(ids)) == len(ids)
    kept = [one for one in catalogue.annotations if one.id < 4 * 102]
    brought = [one for one in catalogue.annotations if one.id >= 4 * 102]
    assert kept
    assert sorted(one.id for one in brought) == list(range(408, 408 + len(brought)))
    assert brought
    for one in kept:
        copy, number = divmod(one.id, 102)
        assert catalogue.images[one.image].id == own[number] + 43 * copy


def test_keypoints_lie_in_the_part_of_their_object_that_each_tile_of_a_mosaic_shows(coco, tmp_path):
    coco.content["annotations"][1].update(bbox=[4, 2, 12, 6], keypoints=[4, 2, 2, 15, 7, 2])
    coco.content["annotations"] = [coco.content["annotations"][1]]
    coco.write()
    made = augment(coco.file, tmp_path / "out", {"batch": ["mosaic"]}, copies=4)
    assert len(made.catalogue.annotations) > len(made)
    seen = 0
    for one in made.catalogue.annotations:
        left, top, right, bottom = one.box
        for x, y, labelled in one.keypoints:
            assert not labelled or (left <= x <= right and top <= y <= bottom)
            seen += labelled > 0
    assert seen


@pytest.mark.parametrize("copies_of_flips", [1, 2])
def test_left_keypoints_are_right_ones_in_a_mirror_image(copies_of_flips, coco, tmp_path):
    coco.content["categories"][0].update(
        keypoints=["left_eye", "nose", "Right_eye", "right_eye"], skeleton=[]
    )
    coco.content["annotations"] = [coco.content["annotations"][1]]
    coco.content["annotations"][0].update(
        bbox=[0, 0, 12, 4], keypoints=[1, 2, 2, 3, 1, 1, 4, 0, 2, 6, 3, 1], num_keypoints=4
    )
    coco.write()
    flip = {"operation": "horizontal_flip", "probability": 1}
    steps = [{**flip, "id": f"flip{number}"} for number in range(copies_of_flips)]
    augment(coco.file, tmp_path / "out", {"sample": steps})
    (made,) = json.loads((tmp_path / "out" / "instances.json").read_text())["annotations"]
    if copies_of_flips == 2:
        assert made["keypoints"] == [1, 2, 2, 3, 1, 1, 4, 0, 2, 6, 3, 1]
    else:
        # The right eye, hidden at 6, is the left one at 13; Right_eye has no partner of its spelling.
        assert made["keypoints"] == [13, 3, 1, 16, 1, 1, 15, 0, 2, 18, 2, 2]
    assert made["num_keypoints"] == 4


def test_images_of_which_some_have_masks_are_written_as_they_are_and_not_mixed(voc, picture, tmp_path):
    picture(voc.folder / "JPEGImages" / "two.png", value=8)
    voc.write(voc.xml(filename="two.png"), "two")
    (voc.folder / "SegmentationClass").mkdir()
    classes = np.ones((10, 20), dtype=np.uint8)
    with_palette(classes).save(voc.folder / "SegmentationClass" / "two.png")
    made = augment(voc.folder, tmp_path / "out", FLIP)
    assert made[0].mask is None
    assert (made[1].mask == classes).all()
    with pytest.raises(SourceError, match=r"Some images of .* have masks and some have not"):
        augment(voc.folder, tmp_path / "mixed", {"batch": ["mosaic"]})
    with pytest.raises(ConfigError, match="needs the class of each pixel of all images"):
        augment(voc.folder, tmp_path / "masks", format="masks")
    items = as_torch(open_source(voc.folder), Pipeline.read(FLIP)).__getitems__([0, 1])
    with pytest.raises(SourceError, match="Some targets of the batch have 'mask' and some have not"):
        collate(items)
