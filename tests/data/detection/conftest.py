import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

WIDTH, HEIGHT = 20, 10


@pytest.fixture
def picture() -> Callable[..., Path]:
    def make(path: Path, size: tuple[int, int] = (WIDTH, HEIGHT), value: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(value).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return make


@pytest.fixture
def coco(tmp_path, picture):
    """A small set in COCO's form: ``content`` to change, ``write`` it, and the folder."""
    content = {
        "licenses": [{"id": 3, "name": "CC0"}],
        "categories": [
            {
                "id": 7,
                "name": "cat",
                "supercategory": "animal",
                "keypoints": ["nose", "tail"],
                "skeleton": [[1, 2]],
            },
            {"id": 90, "name": "dog"},
        ],
        "images": [
            {"id": 42, "file_name": "a.png", "width": WIDTH, "height": HEIGHT, "license": 3},
            {"id": 5, "file_name": "sub/b.png", "width": WIDTH, "height": HEIGHT},
        ],
        "annotations": [
            {
                "id": 101,
                "image_id": 42,
                "category_id": 90,
                "bbox": [2.5, 1.25, 10, 5.5],
                "area": 33.5,
                "segmentation": [[3, 2, 7, 2, 7, 6, 3, 6], [9, 2, 12, 2, 12, 5]],
                "iscrowd": 0,
            },
            {
                "id": 11,
                "image_id": 42,
                "category_id": 7,
                "bbox": [0, 0, 4, 4],
                "iscrowd": 0,
                "keypoints": [1, 2, 2, 0, 0, 0],
                "num_keypoints": 1,
            },
            {
                "id": 12,
                "image_id": 42,
                "category_id": 7,
                "bbox": [1, 0, 1, 3],
                "iscrowd": 1,
                "segmentation": {"size": [10, 20], "counts": [10, 3, 187]},
            },
        ],
    }
    picture(tmp_path / "coco" / "images" / "a.png", value=1)
    picture(tmp_path / "coco" / "images" / "sub" / "b.png", value=2)
    file = tmp_path / "coco" / "instances.json"

    def write() -> Path:
        file.write_text(json.dumps(content))
        return file

    write()
    return SimpleNamespace(content=content, write=write, file=file, folder=file.parent)


def voc_xml(objects: str = "", *, filename: str = "one.png", size: tuple[int, int] = (WIDTH, HEIGHT)) -> str:
    return (
        f"<annotation><filename>{filename}</filename><size><width>{size[0]}</width><height>{size[1]}</height>"
        f"<depth>3</depth></size>{objects}</annotation>"
    )


def voc_object(name: str, box: tuple[object, ...], more: str = "") -> str:
    ends = "".join(
        f"<{end}>{value}</{end}>" for end, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name>{more}<bndbox>{ends}</bndbox></object>"


@pytest.fixture
def voc(tmp_path, picture):
    """A folder of Pascal VOC with one image, and ``write`` for its annotations."""
    folder = tmp_path / "voc"
    picture(folder / "JPEGImages" / "one.png", value=3)
    (folder / "Annotations").mkdir()

    def write(content: str, stem: str = "one") -> Path:
        (folder / "Annotations" / f"{stem}.xml").write_text(content)
        return folder

    objects = voc_object(
        "dog", (3, 2, 12, 7), "<pose>Left</pose><truncated>1</truncated><difficult>1</difficult>"
    )
    write(voc_xml(objects + voc_object("cat", (1, 1, 1, 1))))
    return SimpleNamespace(folder=folder, write=write, xml=voc_xml, object=voc_object)


@pytest.fixture
def yolo(tmp_path, picture):
    """A folder of YOLO with two parts, and ``write`` for the labels of its first image."""
    folder = tmp_path / "yolo"
    picture(folder / "images" / "train" / "one.png", value=4)
    picture(folder / "images" / "train" / "none.png", value=5)
    picture(folder / "images" / "val" / "two.png", value=6)
    (folder / "labels" / "train").mkdir(parents=True)
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: {0: cat, 1: dog}\n")

    def write(content: str) -> Path:
        (folder / "labels" / "train" / "one.txt").write_text(content)
        return folder

    write("1 0.5 0.5 0.25 0.4\n0 0.1 0.2 0.4 0.2 0.4 0.8 0.1 0.8\n")
    return SimpleNamespace(folder=folder, write=write)
