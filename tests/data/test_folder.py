from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from synth.data import load_images, open_source
from synth.errors import SourceError, UnreadableError


def test_class_folders_give_sorted_classes_and_images_at_any_depth(tmp_path, save):
    for name in ("dog/b.png", "dog/deep/er/a.png", "cat/1.jpg", "cat/0.webp"):
        save(name, seed=len(name))
    source = open_source(tmp_path)
    assert source.info.kind == "folder"
    assert source.info.classes == ("cat", "dog")
    assert [source[row].origin for row in range(4)] == [
        "cat/0.webp",
        "cat/1.jpg",
        "dog/b.png",
        "dog/deep/er/a.png",
    ]
    assert source.labels.tolist() == [0, 0, 1, 1]
    assert source.labels.dtype == np.int64
    assert source[-1].label == 1
    assert source[-1].image.shape == (8, 8, 3)
    assert source[2].id == source.ids[2]
    with pytest.raises(IndexError):
        source[4]


@pytest.mark.parametrize(
    ("names", "note"),
    [
        (["a.png", "b.png"], "no class folders: treated as unlabelled"),
        (["cat/a.png", "cat/b.png"], "only one class folder (cat): treated as unlabelled"),
    ],
)
def test_a_folder_with_one_class_or_none_is_unlabelled_and_says_so(tmp_path, save, names, note):
    for seed, name in enumerate(names):
        save(name, seed)
    source = open_source(str(tmp_path))
    assert source.labels is None
    assert source.info.classes is None
    assert source.info.notes == (note,)
    assert source[0].label is None


def test_other_files_hidden_files_and_empty_class_folders_are_noted(tmp_path, save):
    for name in ("cat/a.png", "dog/a.png"):
        save(name, seed=ord(name[0]))
    save("dog/.hidden.png")
    save(".cache/x.png")
    (tmp_path / "cat" / "notes.txt").write_text("x")
    (tmp_path / "bird").mkdir()
    source = open_source(tmp_path)
    assert source.info.count == 2
    assert source.info.classes == ("cat", "dog")
    assert source.info.notes == (
        "1 sub-folder without images ignored: bird",
        "2 other files ignored: cat/notes.txt, dog/.hidden.png",
    )


def test_links_are_followed_but_not_in_circles(tmp_path, save):
    save("real/cat/a.png", 1)
    save("real/dog/a.png", 2)
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("cat", "dog"):
        (linked / name).symlink_to(tmp_path / "real" / name)
    (tmp_path / "real" / "cat" / "loop").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "cat" / "up").symlink_to(tmp_path / "real" / "cat")
    source = open_source(tmp_path / "real")
    assert "cat/a.png" in [source[row].origin for row in range(len(source))]
    assert open_source(linked).info.classes == ("cat", "dog")


def test_an_empty_folder_is_refused_with_the_accepted_layouts(tmp_path):
    with pytest.raises(
        SourceError, match=r"no images in .*no files.*one sub-folder of images for each class"
    ):
        open_source(tmp_path)
    (tmp_path / "x.npz").touch()
    with pytest.raises(SourceError, match=r"only x\.npz.*Name the file: .*x\.npz"):
        open_source(tmp_path)


def test_images_beside_class_folders_are_refused(tmp_path, save):
    save("a.png")
    save("cat/b.png")
    with pytest.raises(
        SourceError, match=r"1 image at the top \(a\.png\) and class folders \(cat\)\. Choose"
    ):
        open_source(tmp_path)


@pytest.mark.parametrize("names", [("train", "test"), ("trainA", "testB")])
def test_parts_of_a_data_set_are_not_taken_for_classes(tmp_path, save, names):
    for name in names:
        save(f"{name}/cat/a.png")
    with pytest.raises(SourceError, match=rf"parts of a data set and not classes.*{names[1]}"):
        open_source(tmp_path)


@pytest.fixture
def damaged(tmp_path: Path, save) -> Path:
    """Class folders with two good images and five files that are none."""
    good = save("cat/good.png", 1, size=(40, 40))
    save("dog/good.png", 2, size=(40, 40))
    (tmp_path / "cat" / "short.png").write_bytes(good.read_bytes()[:2000])
    photograph = save("cat/short.jpg", 3, size=(40, 40))
    photograph.write_bytes(photograph.read_bytes()[:-300])
    (tmp_path / "dog" / "empty.png").touch()
    (tmp_path / "dog" / "text.jpg").write_text("not an image")
    (tmp_path / "dog" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    return tmp_path


def test_one_error_names_all_unreadable_files_with_reasons_and_the_remedy(damaged):
    source = open_source(damaged)
    with pytest.raises(UnreadableError) as caught:
        load_images(source)
    message = str(caught.value)
    assert f"5 of 7 image files in {damaged} cannot be read" in message
    for name, reason in (
        ("cat/short.png", "is damaged or cut short"),
        ("cat/short.jpg", "is damaged or cut short"),
        ("dog/empty.png", "is empty"),
        ("dog/text.jpg", "is not an image"),
        ("dog/gone.png", "cannot be opened (No such file or directory)"),
    ):
        assert f"{name} {reason}" in message
    assert "--skip-unreadable" in message
    with pytest.raises(UnreadableError, match=r"dog/empty\.png is empty"):
        source[3]


def test_of_many_unreadable_files_ten_are_named(tmp_path):
    for number in range(13):
        (tmp_path / f"{number:02}.png").touch()
    with pytest.raises(
        UnreadableError, match=r"13 of 13.*09\.png is empty \(0 bytes\) and 3 more.*No readable"
    ):
        load_images(open_source(tmp_path, skip_unreadable=True))


def test_unreadable_files_are_skipped_and_noted_on_request(damaged):
    loaded = load_images(open_source(damaged, skip_unreadable=True))
    assert len(loaded) == 2
    assert loaded.labels.tolist() == [0, 1]
    assert any(
        note.startswith("5 unreadable files left out: cat/short.jpg is damaged") for note in loaded.notes
    )
    # The same answers when the first question is another one.
    assert len(open_source(damaged, skip_unreadable=True)) == 2
    assert open_source(damaged, skip_unreadable=True)[1].origin == "dog/good.png"


def test_a_class_without_a_readable_image_is_no_class(tmp_path, save):
    for name in ("bird", "cat", "dog"):
        save(f"{name}/a.png", seed=ord(name[0]))
    (tmp_path / "bird" / "a.png").write_bytes(b"")
    source = open_source(tmp_path, skip_unreadable=True)
    assert source.info.classes == ("cat", "dog")
    assert source.labels.tolist() == [0, 1]
    assert "no readable image is left in class bird" in source.info.notes


def test_each_file_is_decoded_once_for_ids_and_images(tmp_path, save, monkeypatch):
    import synth.data.files as files

    for number in range(20):
        save(f"{number}.png", number)
    counted, lock, decode = [], threading.Lock(), files.decode

    def counting(content):
        with lock:
            counted.append(content)
        return decode(content)

    monkeypatch.setattr(files, "decode", counting)
    source = open_source(tmp_path)
    assert not counted
    loaded = load_images(source)
    assert loaded.ids == tuple(source.ids)
    assert len(counted) == 20


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, save, monkeypatch):
    save("cat/a.png")
    save("dog/a.png")
    scandir = os.scandir

    def refuse(folder):
        if str(folder).endswith("dog"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SourceError, match=r"Cannot list .*dog: Permission denied"):
        open_source(tmp_path)
