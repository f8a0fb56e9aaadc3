"""What is wrong with annotations is told at once; what can be mended is noted, what is unsafe refused."""

from __future__ import annotations

import json
import os

import pytest

from synth import open_source
from synth.cli import main
from synth.errors import SourceError


def change(**values):
    def apply(content):
        content["annotations"][0].update(values)

    return apply


def runs(size, counts):
    return change(segmentation={"size": size, "counts": counts})


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (change(bbox=[1, 2, -3, 4]), "annotation 101 has a bbox of negative size, -3 x 4"),
        (change(bbox=[1, float("nan"), 3, 4]), "annotation 101 has the bbox .*, not four numbers"),
        (change(bbox=None), "annotation 101 has the bbox None"),
        (change(bbox=[1, 10**400, 3, 4]), "annotation 101 has the bbox .*, not four numbers"),
        (
            change(bbox=[25, 1, 3, 4]),
            "annotation 101 has a box outside of its 20 x 10 image, from 25, 1 to 28, 5",
        ),
        (change(category_id=3), "annotation 101 has the category 3, which is not in 'categories'"),
        (change(image_id=6), "annotation 101 is of the image 6, which is not in 'images'"),
        (change(id=11), "annotation 11 is there twice"),
        (change(id=None), r"annotations\[0\] has no 'id'"),
        (change(segmentation=[[1, 2, 3]]), "annotation 101 has a polygon"),
        (change(segmentation=[[1, 2, 3, 4]]), "fewer than three corners"),
        (
            change(segmentation=[[1, 2, 3, 4, 1e300, 6]]),
            r"polygon that is far outside of its image, at 1e\+300",
        ),
        (change(segmentation="mask"), "neither a list of polygons nor runs"),
        (runs([20, 10], [200]), "has runs of an image of 20 x 10, not 10 x 20"),
        (runs([10**9, 10**9], [10**18]), "has runs of an image of 1000000000 x 1000000000"),
        (runs([10, 20], [100, 101]), "do not add up to 10 x 20"),
        (runs([10, 20], [2**63, 2**63]), "neither whole numbers"),
        (runs([10, 20], [-1, 201]), "neither whole numbers"),
        (runs([10, 20], "P"), "damaged or cut short"),
        (runs([10, 20], "o" * 20 + "0"), "too long"),
        (runs([10, 20], "ü"), "foreign letters"),
        (change(keypoints=[1, 2, 2], category_id=7), "1 keypoints, and its category 2"),
        (change(keypoints=[1, 2, 5]), "visibility 5"),
        (change(keypoints=[99, 2, 1]), "keypoint outside of its image, at 99, 2"),
    ],
)
def test_a_faulty_annotation_is_named_and_left_out_only_where_that_is_asked_for(coco, apply, message):
    apply(coco.content)
    coco.write()
    with pytest.raises(SourceError, match=message) as caught:
        open_source(coco.file)
    assert str(coco.file) in str(caught.value)
    assert "--skip-unreadable" in str(caught.value)
    source = open_source(coco.file, skip_unreadable=True)
    assert len(source.catalogue.annotations) == 2
    assert "1 faulty entry left out" in " ".join(source.info.notes)


def test_several_faults_are_told_together(coco):
    coco.content["images"].append({"id": 6, "file_name": "gone.png", "width": 20, "height": 10})
    coco.content["annotations"][0]["bbox"] = [1, 2, -3, 4]
    coco.content["annotations"][1]["category_id"] = 8
    coco.write()
    with pytest.raises(SourceError, match=r"3 faults in .*gone.png.*annotation 101.*annotation 11 "):
        open_source(coco.file)
    assert len(open_source(coco.file, skip_unreadable=True)) == 2


def test_boxes_beyond_the_edge_are_cut_off_and_flat_ones_left_out_with_a_note(coco):
    coco.content["annotations"][0]["bbox"] = [15, -1, 10, 5]
    coco.content["annotations"][1]["bbox"] = [3, 3, 1e-6, 5]  # no side at all in float32
    coco.content["annotations"][2]["bbox"] = [1, -1e-6, 1, 3]  # as a file rounds an edge of the image
    coco.write()
    source = open_source(coco.file)
    assert source[0].objects.boxes.tolist() == [[15, 0, 20, 4], [1, 0, 2, pytest.approx(3)]]
    notes = " ".join(source.info.notes)
    assert "boxes that reach beyond their image are cut off at its edges (1): annotation 101" in notes
    assert "boxes without any area are left out (1): annotation 11" in notes


@pytest.mark.parametrize(
    "name", ["../a.png", "/etc/passwd", "sub/../../a.png", "C:/a.png", "a\\b.png", "", None]
)
def test_file_names_that_leave_their_folder_are_never_followed(coco, name):
    coco.content["images"][0]["file_name"] = name
    coco.write()
    with pytest.raises(SourceError, match="image 42 has the file name"):
        open_source(coco.file, skip_unreadable=True)


def test_images_that_are_listed_twice_are_named(coco):
    coco.content["images"][1]["file_name"] = "a.png"
    coco.write()
    with pytest.raises(SourceError, match=r"image 5 .a.png. is listed before, as image 42"):
        open_source(coco.file)
    coco.content["images"][1].update(file_name="sub/b.png", id=42)
    coco.write()
    with pytest.raises(SourceError, match="image 42 is there twice"):
        open_source(coco.file, skip_unreadable=True)


def test_ids_names_and_licences_of_any_form_are_faults_or_taken(coco):
    coco.content["licenses"] = None
    name = "x" * 300 + ".png"
    coco.content["images"] += [{"id": [2], "file_name": "c.png"}, {"id": 2, "file_name": name}]
    coco.write()
    with pytest.raises(SourceError, match=r"2 faults.*images\[2\] has no 'id'.*xxx.png. is not on the disk"):
        open_source(coco.file)
    assert open_source(coco.file, skip_unreadable=True).catalogue.licenses == ()


def test_files_whose_names_are_no_text_are_faults(yolo, tmp_path, picture):
    for folder in (
        yolo.folder / "images" / "train",
        tmp_path / "pairs" / "images",
        tmp_path / "pairs" / "masks",
    ):
        picture(folder / "a.png")
        os.rename(folder / "a.png", os.fsencode(folder) + b"/caf\xe9.png")
    for path in (yolo.folder, tmp_path / "pairs"):
        with pytest.raises(SourceError, match=r"caf\\udce9.png has a name that is not UTF-8"):
            open_source(path)
    assert len(open_source(yolo.folder, skip_unreadable=True)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "no file of COCO annotations"),
        ('{"images": 1, "annotations": [], "categories": []}', "must be a list"),
    ],
)
def test_a_file_that_is_no_coco_says_so(coco, text, message):
    coco.file.write_text(text)
    with pytest.raises(SourceError, match=message):
        open_source(coco.file)


@pytest.mark.parametrize("name", ["", " ", "a\x01b", None, 7])
def test_categories_without_a_name_that_can_be_read_are_refused(coco, name):
    coco.content["categories"][1]["name"] = name
    coco.write()
    with pytest.raises(SourceError, match="category 90 has the name"):
        open_source(coco.file)


def test_categories_of_one_name_or_id_are_refused(coco):
    coco.content["categories"][1]["name"] = "cat"
    coco.write()
    with pytest.raises(SourceError, match="category 90 has the name 'cat'"):
        open_source(coco.file)


BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "xx"><!ENTITY y "&x;&x;">]><annotation>&y;</annotation>'


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda voc: "<annotation>", "one.xml is not XML"),
        (lambda voc: BOMB, "defines a document type"),
        (lambda voc: BOMB.replace("<?xml", "<?xml").encode("utf-16").decode("latin-1"), "one.xml"),
        (lambda voc: "<html></html>", "is of html, not of an annotation"),
        (
            lambda voc: voc.xml(voc.object("dog", (5, 1, 2, 4))),
            "object 1 has an inverted box, from 5, 1 to 2, 4",
        ),
        (lambda voc: voc.xml(voc.object("dog", ("x", 1, 2, 4))), "object 1 has no bndbox of four numbers"),
        (
            lambda voc: voc.xml(voc.object("dog", ("nan", 1, 2, 4))),
            "object 1 has a box that is not four numbers",
        ),
        (lambda voc: voc.xml(voc.object(" ", (1, 1, 2, 4))), "object 1 has no name"),
        (lambda voc: voc.xml(voc.object("dog", (31, 1, 35, 4))), "object 1 has a box outside"),
        (lambda voc: voc.xml(filename="../../one.png"), "does not lie in JPEGImages"),
        (lambda voc: voc.xml(size=(10**6, 10**6)), "above the limit of 80 million"),
        (lambda voc: voc.xml(size=(-20, 10)), "has the size -20 x 10"),
    ],
)
def test_faults_of_voc_name_the_file_and_the_object(voc, make, message):
    voc.write(make(voc))
    with pytest.raises(SourceError, match=message):
        open_source(voc.folder)


def test_voc_images_that_are_missing_or_claimed_twice_are_named(voc):
    voc.write(voc.xml(filename="gone.png"), "gone")
    voc.write(voc.xml(filename="one.png"), "two")
    with pytest.raises(
        SourceError, match=r"2 faults.*gone.xml is of gone.png.*two.xml is of one.png, and so is"
    ):
        open_source(voc.folder)
    source = open_source(voc.folder, skip_unreadable=True)
    assert len(source) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 0.1 0.1", "one.txt:1 has the class 2; there are 0 to 1"),
        ("0 120 80 40 30", "no shares of 0 to 1"),
        ("0 0.5 0.5 nan 0.1", "no shares of 0 to 1"),
        ("0 0.5 0.5 -0.1 0.1", "negative size"),
        ("0 0.5 0.5 0.1", "has 3 numbers"),
        ("0 0.5 0.5 0.1 0.1 0.9", "has 5 numbers"),
        ("cat 0.5 0.5 0.1 0.1", "is not a class and numbers"),
    ],
)
def test_faults_of_yolo_name_the_file_and_the_line(yolo, line, message):
    yolo.write(f"{line}\n0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(SourceError, match=message):
        open_source(yolo.folder)
    assert len(open_source(yolo.folder, skip_unreadable=True).catalogue.annotations) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: images/train\n", "have no names"),
        ("train: images/train\nnames: [cat, cat]\n", "two the same one"),
        ("train: images/train\nnames: {0: cat, 2: dog}\n", "numbers are not 0 to 1"),
        ("train: images/train\nnames: [cat, dog]\nnc: 3\n", "'nc' is 3, and there are 2 names"),
        ("train: ../../elsewhere\nnames: [cat, dog]\n", "'../../elsewhere', which is not there"),
        (f"train: {'x' * 300}\nnames: [cat, dog]\n", "which is not there"),
        ("train: /etc\nnames: [cat, dog]\n", "'/etc', which does not lie in"),
        ("names: [\n", "cannot be read as YAML"),
        ("- 1\n", "must map 'names'"),
        ("kpt_shape: [17, 3]\nnames: [cat, dog]\n", "keypoints"),
    ],
)
def test_faults_of_data_yaml_are_named(yolo, text, message):
    (yolo.folder / "data.yaml").write_text(text)
    with pytest.raises(SourceError, match=message):
        open_source(yolo.folder)


def test_lines_of_a_list_that_name_no_image_are_faults_of_the_list(yolo):
    (yolo.folder / "data.yaml").write_text("train: train.txt\nnames: [cat, dog]\n")
    (yolo.folder / "train.txt").write_text("./images/train/gone.png\n\n./images/train/one.png\n")
    with pytest.raises(SourceError, match=r"train.txt:1 names './images/train/gone.png', which is not there"):
        open_source(yolo.folder)
    source = open_source(yolo.folder, skip_unreadable=True)
    assert [len(source), len(source[0].objects)] == [1, 2]


def test_images_and_masks_without_the_other_are_named(tmp_path, picture):
    picture(tmp_path / "images" / "a.png")
    picture(tmp_path / "images" / "b.png")
    picture(tmp_path / "masks" / "b.png")
    picture(tmp_path / "masks" / "c.png")
    with pytest.raises(
        SourceError, match=r"2 faults.*images/a.png has no mask.*masks/c.png is the mask of an image"
    ):
        open_source(tmp_path)
    assert json.dumps(open_source(tmp_path, skip_unreadable=True).info.notes).count("left out") == 1


def test_pictures_of_one_name_but_for_the_suffix_are_named(tmp_path, picture, voc):
    for name in ("images/a.png", "images/a.jpg", "masks/a.png"):
        picture(tmp_path / "pairs" / name)
    with pytest.raises(SourceError, match=r"1 fault.*images/a.png is called as a.jpg is"):
        open_source(tmp_path / "pairs")
    assert len(open_source(tmp_path / "pairs", skip_unreadable=True)) == 1
    picture(voc.folder / "JPEGImages" / "one.jpg")
    assert "1 image without an XML file ignored: one.jpg" in " ".join(open_source(voc.folder).info.notes)
    voc.write(voc.xml(filename=""))
    with pytest.raises(SourceError, match=r"one.xml is of one of one.jpg, one.png: say which"):
        open_source(voc.folder)


def test_a_check_reports_faulty_annotations_as_problems(coco, capsys):
    coco.content["annotations"][0]["bbox"] = [1, 2, -3, 4]
    coco.write()
    assert main(["check", str(coco.file), "--json"]) in (0, 1)
    report = json.loads(capsys.readouterr().out)
    assert report["unreadable"][0]["file"] == "annotation 101"
    (found,) = [one for one in report["findings"] if one["subject"] == "unreadable"]
    assert "annotation 101 has a bbox of negative size" in found["message"]
    assert found["severity"] == "problem"
