"""Objects as COCO, Pascal VOC and YOLO say them, against values that were computed by hand."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from synth import open_source
from synth.cli import main
from synth.data.detection.pictures import with_palette
from synth.errors import NotFoundError, SourceError


def test_coco_boxes_are_left_top_width_height_and_categories_keep_their_ids(coco):
    source = open_source(coco.file)
    info = source.info
    assert (info.kind, info.count, info.classes, info.categories) == ("coco", 2, None, ("cat", "dog"))
    assert [one.id for one in source.catalogue.categories] == [7, 90]
    objects = source[0].objects
    assert objects.boxes.tolist() == [[2.5, 1.25, 12.5, 6.75], [0, 0, 4, 4], [1, 0, 2, 3]]
    assert objects.labels.tolist() == [1, 0, 0]
    assert [source.catalogue.annotations[number].id for number in objects.numbers] == [101, 11, 12]
    assert [source.catalogue.annotations[number].crowd for number in objects.numbers] == [False, False, True]
    # COCO's keypoints count pixels, so that 1, 2 is the middle of the second pixel of the third row.
    assert objects.points.places.tolist() == [[1.5, 2.5]]
    assert objects.points.owners.tolist() == [1]
    assert len(source[1].objects) == 0
    assert source[1].origin == "sub/b.png"


def test_coco_segmentations_are_the_pixels_whose_middles_they_hold(coco):
    masks = open_source(coco.folder)[0].objects.masks
    expected = np.zeros((10, 20), dtype=bool)
    expected[2:6, 3:7] = True
    # The triangle 9, 2 - 12, 2 - 12, 5 holds the middles right of its slanted side, that on it too.
    for y in range(3):
        expected[2 + y, 9 + y : 12] = True
    assert (masks[0] == expected).all()
    assert not masks[1].any()
    column = np.zeros((10, 20), dtype=bool)
    column[0:3, 1] = True
    assert (masks[2] == column).all()


def test_voc_coordinates_begin_at_one_and_their_ends_are_inside(voc):
    source = open_source(voc.folder)
    assert source.info.categories == ("cat", "dog")
    objects = source[0].objects
    assert objects.boxes.tolist() == [[2, 1, 12, 7], [0, 0, 1, 1]]
    assert objects.labels.tolist() == [1, 0]
    dog, cat = source.catalogue.annotations
    assert (dog.difficult, dog.truncated, dog.pose) == (True, True, "Left")
    assert (cat.difficult, cat.truncated, cat.pose) == (False, False, "")


def test_voc_pictures_give_the_class_and_the_object_of_each_pixel(voc):
    classes = np.zeros((10, 20), dtype=np.uint8)
    classes[1:7, 2:12] = 12
    classes[0, 0] = 255
    numbers = np.where(classes == 12, 1, np.where(classes == 255, 2, 0))
    for name, values in (("SegmentationClass", classes), ("SegmentationObject", numbers)):
        (voc.folder / name).mkdir()
        with_palette(values).save(voc.folder / name / "one.png")
    with Image.open(voc.folder / "SegmentationClass" / "one.png") as image:
        assert image.mode == "P"
        assert image.getpalette()[36:39] == [0, 0, 128] or image.getpalette()[3:6] == [128, 0, 0]
    sample = open_source(voc.folder)[0]
    assert (sample.mask == classes).all()
    assert (sample.objects.masks[0] == (classes == 12)).all()
    assert sample.objects.masks[1].sum() == 1


def test_voc_pictures_of_one_name_in_sub_folders_keep_their_own_objects(voc, picture):
    for place, (part, name) in enumerate((("first", "cat"), ("second", "dog"))):
        picture(voc.folder / "JPEGImages" / part / "one.png", value=place)
        corner = 1 + place
        box = voc.object(name, (corner, corner, corner + 3, corner + 3))
        voc.write(voc.xml(box, filename=f"{part}/one.png"), part)
    source = open_source(voc.folder)
    names = source.info.categories
    found = {
        one.origin: (one.objects.boxes[0].tolist(), names[one.objects.labels[0]])
        for one in (source[row] for row in range(3))
    }
    assert found["JPEGImages/first/one.png"] == ([0, 0, 4, 4], "cat")
    assert found["JPEGImages/second/one.png"] == ([1, 1, 5, 5], "dog")
    twice = replace(source.catalogue, images=source.catalogue.images[:1] * 2)
    with pytest.raises(SourceError, match=r"Two images of the data set are called JPEGImages/"):
        _ = twice.places


def test_voc_parts_are_lists_of_names(voc, picture):
    picture(voc.folder / "JPEGImages" / "an other.png", value=9)
    voc.write(voc.xml(voc.object("dog", (1, 1, 4, 4)), filename="an other.png"), "an other")
    (voc.folder / "ImageSets" / "Main").mkdir(parents=True)
    file = voc.folder / "ImageSets" / "Main" / "val.txt"
    for text in ("an other\n", "an other  1\r\n", "\ufeffan other -1"):
        file.write_text(text, encoding="utf-8")
        source = open_source(f"{voc.folder}:val")
        assert [one.origin for one in source] == ["JPEGImages/an other.png"]
    # The part has no cat, and its dog is the second class all the same.
    assert source.info.categories == open_source(voc.folder).info.categories == ("cat", "dog")
    assert source[0].objects.labels.tolist() == [1]
    assert len(open_source(voc.folder)) == 2
    with pytest.raises(NotFoundError, match=r"no part 'vol' .did you mean 'val'"):
        open_source(f"{voc.folder}:vol")


def test_yolo_lengths_are_shares_of_the_image_and_boxes_go_by_their_middle(yolo):
    source = open_source(str(yolo.folder))
    assert source.info.categories == ("cat", "dog")
    assert [source[row].origin for row in range(2)] == ["images/train/none.png", "images/train/one.png"]
    assert "1 image without a file of labels" in " ".join(source.info.notes)
    assert f"{yolo.folder}:val" in " ".join(source.info.notes)
    objects = source[1].objects
    # The middle at 10, 5 and 5 x 4 pixels.
    assert objects.boxes[0].tolist() == [7.5, 3, 12.5, 7]
    assert objects.boxes[1].tolist() == [2, 2, 8, 8]
    assert objects.masks[1].sum() == 36
    assert not objects.masks[0].any()
    assert len(source[0].objects) == 0
    assert len(open_source(f"{yolo.folder}:val")) == 1


def test_yolo_as_it_is_exported_elsewhere_is_found_beside_its_file(yolo):
    root = yolo.folder
    for part in ("train", "val"):
        (root / part).mkdir()
        shutil.move(root / "images" / part, root / part / "images")
    shutil.move(root / "labels" / "train", root / "train" / "labels")
    (root / "data.yaml").write_text("path: /far/away\ntrain: ../train/images\nnc: 2\nnames: [cat, dog]\n")
    source = open_source(root)
    assert len(source[1].objects) == 2


def test_yolo_behind_symbolic_links_keeps_its_labels_and_none_leads_out(yolo, tmp_path):
    shutil.move(yolo.folder / "images" / "train", yolo.folder / "raw")
    link = yolo.folder / "images" / "train"
    link.symlink_to("../raw")
    source = open_source(yolo.folder)
    assert source[1].origin == "images/train/one.png"
    assert len(source[1].objects) == 2
    link.unlink()
    shutil.move(yolo.folder / "raw", tmp_path / "elsewhere")
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match=r"'images/train', which is a link that leads out of"):
        open_source(yolo.folder)


def test_files_that_begin_with_a_mark_of_their_encoding_are_read(yolo):
    for name in ("data.yaml", "labels/train/one.txt"):
        path = yolo.folder / name
        path.write_text(path.read_text(), encoding="utf-8-sig")
    assert len(open_source(yolo.folder)[1].objects) == 2
    (yolo.folder / "data.yaml").unlink()
    (yolo.folder / "classes.txt").write_text("cat\ndog\n", encoding="utf-8-sig")
    assert open_source(yolo.folder).info.categories == ("cat", "dog")


def test_masks_beside_images_are_paired_by_name(tmp_path, picture):
    picture(tmp_path / "image" / "7.jpg")
    (tmp_path / "label").mkdir()
    mask = np.zeros((10, 20), dtype=np.uint8)
    mask[2:4] = 255
    Image.fromarray(mask).save(tmp_path / "label" / "7.png")
    source = open_source(tmp_path)
    assert (source.info.kind, source.info.categories) == ("masks", None)
    assert (source[0].mask == mask).all()
    assert source[0].objects is None


def test_masks_are_turned_upright_as_their_images_are_and_may_have_alpha(tmp_path):
    upright = np.arange(12, dtype=np.uint8).reshape(3, 4)
    turned = Image.Exif()
    turned[0x112] = 6  # to be turned clockwise
    for name, pixels in (("images", upright * 20), ("masks", np.stack([upright, upright], axis=2))):
        (tmp_path / name).mkdir()
        Image.fromarray(np.rot90(pixels).copy()).save(tmp_path / name / "a.png", exif=turned)
    (sample,) = open_source(tmp_path)
    assert (sample.image[..., 0] == upright * 20).all()
    assert (sample.mask == upright).all()


def test_masks_in_sub_folders_are_paired_by_their_paths(tmp_path, picture):
    for value, name in enumerate(("train/0.png", "val/0.png", "1.png")):
        picture(tmp_path / "images" / name, value=value)
        mask = tmp_path / "masks" / name
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((10, 20), value, dtype=np.uint8)).save(mask)
    source = open_source(tmp_path)
    assert source.info.kind == "masks"
    found = {one.origin: int(one.mask[0, 0]) for one in (source[row] for row in range(3))}
    assert found == {"images/train/0.png": 0, "images/val/0.png": 1, "images/1.png": 2}


def test_a_part_of_a_split_keeps_its_objects(coco):
    source = open_source(coco.file)
    part = source.subset({"a.png": source.ids[0]}, spec="part")
    assert len(part[0].objects) == 3
    assert part.catalogue is source.catalogue


def test_the_digest_tells_apart_what_is_said_of_the_same_images(coco):
    before = open_source(coco.file).catalogue.digest
    assert open_source(coco.file).catalogue.digest == before
    coco.content["annotations"][2]["iscrowd"] = 0
    coco.write()
    assert open_source(coco.file).catalogue.digest != before


def test_an_image_of_another_size_than_is_said_of_it_is_named(coco, picture):
    picture(coco.folder / "images" / "sub" / "b.png", size=(21, 10))
    source = open_source(coco.file)
    message = r"sub/b.png is 21 x 10 pixels, and its annotation says 20 x 10"
    with pytest.raises(SourceError, match=message):
        _ = source.ids
    with pytest.raises(SourceError, match=message):
        source[1]
    assert len(source[0].objects) == 3


def test_a_mask_of_another_size_is_named(tmp_path, picture):
    picture(tmp_path / "images" / "a.png")
    picture(tmp_path / "masks" / "a.png", size=(20, 11))
    with pytest.raises(SourceError, match=r"a.png is 20 x 10 pixels, and its mask a.png says 20 x 11"):
        _ = open_source(tmp_path).ids
    picture(tmp_path / "masks" / "a.png")
    with pytest.raises(SourceError, match="is in colour"):
        open_source(tmp_path)[0]


def test_several_files_of_coco_are_not_guessed_among(coco):
    (coco.folder / "annotations").mkdir()
    for part in ("train", "val"):
        shutil.copy(coco.file, coco.folder / "annotations" / f"instances_{part}.json")
    coco.file.unlink()
    with pytest.raises(SourceError, match=r"instances_train.json, instances_val.json"):
        open_source(coco.folder)
    assert len(open_source(coco.folder / "annotations" / "instances_val.json")) == 2


@pytest.mark.parametrize("layout", ["voc", "yolo"])
def test_a_folder_of_data_sets_with_annotations_is_not_one_of_classes(layout, request, tmp_path):
    within = tmp_path / "devkit" / "VOC2012"
    shutil.copytree(request.getfixturevalue(layout).folder, within)
    with pytest.raises(SourceError, match=f"holds data sets with annotations .*for example {within}"):
        open_source(tmp_path / "devkit")
    assert len(open_source(within)) > 0


def test_sizes_that_are_not_given_are_those_of_the_files(coco, voc):
    for image in coco.content["images"]:
        del image["width"], image["height"]
    assert json.loads(coco.write().read_text())["images"][0].keys() == {"id", "file_name", "license"}
    assert open_source(coco.file)[0].objects.masks.shape == (3, 10, 20)
    voc.write(voc.xml(voc.object("dog", (1, 1, 20, 10)), size=(0, 0)))
    assert open_source(voc.folder)[0].objects.boxes.tolist() == [[0, 0, 20, 10]]


def test_a_split_of_objects_keeps_them_and_refuses_copies_that_would_not(coco, tmp_path):
    picture = coco.folder / "images" / "a.png"
    for number in range(8):
        copy = coco.folder / "images" / f"{number}.png"
        with Image.open(picture) as image:
            image.rotate(number, fillcolor=(number, 0, 0)).save(copy)
        coco.content["images"].append({"id": 100 + number, "file_name": copy.name, "width": 20, "height": 10})
    coco.write()
    command = ["split", str(coco.file), "--out", str(tmp_path / "split")]
    assert main([*command, "--format", "imagefolder"]) == 2
    assert main(command) == 0
    part = open_source(f"{tmp_path / 'split'}/split.json:train")
    assert part.info.categories == ("cat", "dog")
    assert all(part[row].objects is not None for row in range(len(part)))
