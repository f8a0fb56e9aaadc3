from __future__ import annotations

import numpy as np
import pytest

from synth.data import load_images, open_source
from synth.data.pixels import over_white
from synth.errors import NotFoundError, SourceError, UnreadableError

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (6, 8, 10, 3), dtype=np.uint8)
RGBA = np.concatenate([COLOUR, COLOUR[..., :1]], axis=3)
LABELS = np.array([0, 1, 2, 2, 1, 0])


@pytest.mark.parametrize(
    ("keys", "images", "expected"),
    [
        (("images", "labels"), COLOUR, COLOUR),
        (("x", "y"), COLOUR.transpose(0, 3, 1, 2), COLOUR),
        (("x_train", "y_train"), COLOUR[..., 0], COLOUR[..., :1]),
        (("data", "labels"), COLOUR[..., :1], COLOUR[..., :1]),
        (("arr_0", "arr_1"), RGBA, over_white(RGBA)),
    ],
)
def test_keys_and_layouts(tmp_path, keys, images, expected):
    path = tmp_path / "set.npz"
    np.savez(path, **dict(zip(keys, (images, LABELS[:, None]), strict=True)))
    source = open_source(path)
    assert np.array_equal(load_images(source).images.permute(0, 2, 3, 1).numpy(), expected)
    assert source.labels.tolist() == LABELS.tolist()
    assert source.info.classes == ("0", "1", "2")
    assert source[3].origin == "set.npz[3]"
    assert source[3].id == source.ids[3]


def test_the_test_part_numbers_classes_as_the_training_part_does(tmp_path):
    path = tmp_path / "set.npz"
    np.savez_compressed(path, x_train=COLOUR, y_train=[3, 5, 9, 9, 5, 3], x_test=COLOUR[:2], y_test=[9, 5])
    source = open_source(f"{path}:test")
    assert (len(source), source.info.classes, source.labels.tolist()) == (2, ("3", "5", "9"), [2, 1])
    assert source.info.notes == ("no images of class 3",)
    assert len(open_source(f"{path}:train")) == 6
    with pytest.raises(NotFoundError, match="no part 'val'"):
        open_source(f"{path}:val")


def test_a_data_set_as_generate_writes_it_opens_by_its_folder(tmp_path):
    names = np.array(["ankle-boot", "bag", "coat", "dress"])
    np.savez(tmp_path / "data.npz", images=COLOUR, labels=LABELS, class_names=names, index=np.arange(6))
    (tmp_path / "manifest.json").write_text("{}")
    source = open_source(tmp_path)
    assert source.info.kind == "npz"
    assert source.info.classes == tuple(names)
    assert source.labels.tolist() == LABELS.tolist()
    assert source.info.notes == ("no images of class dress",)


def test_texts_are_labels_and_one_class_or_none_is_unlabelled(tmp_path):
    np.savez(tmp_path / "text.npz", x=COLOUR, y=list("cbacba"))
    source = open_source(tmp_path / "text.npz")
    assert (source.info.classes, source.labels.tolist()) == (("a", "b", "c"), [2, 1, 0, 2, 1, 0])
    np.savez(tmp_path / "one.npz", x=COLOUR, y=[4] * 6)
    assert open_source(tmp_path / "one.npz").info.notes == ("only one class (4): treated as unlabelled",)
    np.savez(tmp_path / "none.npz", x=COLOUR)
    source = open_source(tmp_path / "none.npz")
    assert source.labels is None
    assert source.info.notes == ("no labels in the file: treated as unlabelled",)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": COLOUR}, r"no train images: it holds pictures; train images are called images or x"),
        ({"x": COLOUR / 255}, r"x is float64; save images as uint8"),
        ({"x": COLOUR[0, 0]}, r"shape \[10, 3\]; images are"),
        ({"x": COLOUR[:0]}, r"holds no images"),
        ({"x": COLOUR, "y": [1, 2]}, r"y has shape \[2\]; 6 images need labels \[6\]"),
        ({"x": COLOUR, "y": [0.5] * 6}, r"y is float64; labels are integers or texts"),
        (
            {"x": COLOUR, "y": LABELS, "class_names": ["a", "b"]},
            r"labels 0 to 2, but there are 2 class_names",
        ),
        ({"x": COLOUR, "y": LABELS, "class_names": [1, 2, 3]}, r"class_names must be texts"),
    ],
)
def test_arrays_that_cannot_be_images_or_labels_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(SourceError, match=message):
        open_source(tmp_path / "set.npz")


def test_damaged_foreign_and_pickled_files_are_unreadable(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, x=COLOUR)
    whole = path.read_bytes()
    for content in (b"", b"nonsense", whole[: len(whole) // 2], whole[:400] + b"\0\1\2" + whole[403:]):
        path.write_bytes(content)
        with pytest.raises(UnreadableError, match=r"cannot be read as \.npz"):
            open_source(path)
    np.savez(path, x=COLOUR, y=np.array([{}] * 6))
    with pytest.raises(UnreadableError, match="Object arrays cannot be loaded"):
        open_source(path)
    with open(path, "wb") as file:
        np.save(file, COLOUR)
    with pytest.raises(UnreadableError, match=r"single array and no \.npz"):
        open_source(path)


def test_a_missing_test_part_is_not_found(tmp_path):
    np.savez(tmp_path / "set.npz", x=COLOUR)
    with pytest.raises(NotFoundError, match="no test images: it holds x; test images are called x_test"):
        open_source(f"{tmp_path / 'set.npz'}:test")
