"""Images that memory cannot hold, in a file."""

from __future__ import annotations

import errno
import os

import pytest
import torch

from synth.data import load_images, open_source
from synth.data.scratch import gather, scratch_tensor
from synth.errors import StorageError


@pytest.fixture
def little_memory(monkeypatch) -> None:
    monkeypatch.setattr("synth.data.images.available_memory", lambda: 100)
    monkeypatch.setattr("synth.data.images._SMALL_BYTES", 0)
    monkeypatch.setattr("synth.data.scratch._CHUNK_BYTES", 200)


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_images_in_a_file_are_those_in_memory(tmp_path, save, monkeypatch, little_memory, channels):
    for number in range(6):
        save(f"{number}.png", number, channels=1 if number < 4 else 3)
    folder = tmp_path / "cache"
    filed = load_images(open_source(tmp_path), channels=channels, scratch=folder)
    rows = [5, 0, 3]
    part = filed.subset(rows)
    monkeypatch.undo()
    kept = load_images(open_source(tmp_path), channels=channels, scratch=folder)
    assert torch.equal(filed.images, kept.images)
    assert torch.equal(part.images, kept.images[rows])
    assert part.ids == kept.subset(rows).ids
    assert any(f"they lie in a file in {folder}" in note for note in filed.notes)
    assert (filed.scratch, kept.scratch) == (folder, None)
    assert not list(folder.iterdir())  # it has no name, so that none is left over


def test_a_run_on_images_in_a_file_publishes_what_it_does_in_memory(tiny, tmp_path, monkeypatch):
    source = tiny.source(tmp_path / "toys.npz")
    expected = tiny.fit(source, name="kept").manifest
    monkeypatch.setattr("synth.data.images.available_memory", lambda: 100)
    monkeypatch.setattr("synth.data.images._SMALL_BYTES", 0)
    filed = tiny.fit(source, name="filed").manifest
    assert (filed.digest, filed.training.pixel_std) == (expected.digest, expected.training.pixel_std)


def test_a_disk_without_room_is_said_before_images_are_decoded(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match=r"Cannot keep 3.0 GiB of decoded images in .*: the disk is full"):
        scratch_tensor((3, 1024, 1024, 1024), tmp_path)


def test_rows_are_gathered_in_their_order(tmp_path):
    images = torch.arange(24, dtype=torch.uint8).reshape(6, 1, 2, 2)
    assert torch.equal(gather(images, torch.tensor([4, 1, 4]), tmp_path), images[[4, 1, 4]])
