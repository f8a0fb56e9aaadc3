"""Writing that is whole or not there at all, and disk trouble said in one sentence."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from synth.errors import StorageError

_FULL = "the disk is full", "Free some space and try again."
_REFUSED = "it may not be written", "Change its permissions, or choose another folder (SYNTH_HOME)."
_OCCUPIED = "something else is in its place", "Try again, or choose another folder (SYNTH_HOME)."
_REASONS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: ("your disk quota is used up", "Free some space and try again."),
    errno.EFBIG: ("a file would be larger than allowed here", "Raise the limit or choose another folder."),
    errno.EACCES: _REFUSED,
    errno.EPERM: _REFUSED,
    errno.EROFS: ("it is read-only", "Choose another folder (SYNTH_HOME)."),
    errno.ENOTDIR: ("a part of this path is a file", "Choose another folder (SYNTH_HOME)."),
    errno.EEXIST: _OCCUPIED,
    errno.ENOTEMPTY: _OCCUPIED,
}


@contextmanager
def storage_errors(task: str, path: Path) -> Iterator[None]:
    """Turn every OSError of the block into a StorageError: what ``task`` could not be done, where and why."""
    try:
        yield
    except OSError as error:
        fallback = (error.strerror or str(error), "Check the disk and try again.")
        reason, remedy = _REASONS.get(error.errno or 0, fallback)
        raise StorageError(f"Cannot {task} in {path}: {reason}. {remedy}") from error


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``, waiting for its present holder; one holder over all threads and processes.

    The kernel frees the lock when its holder ends, however it ends, so that whoever holds it knows that no
    other holder is alive. The file itself stays.
    """
    with path.open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def make_folder(path: Path) -> None:
    """Create a folder and its parents, each durably; an existing folder is left as it is."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def publish_folder(temporary: Path, final: Path, files: Mapping[str, bytes]) -> None:
    """Make the folder ``final`` with these files appear at once and durably, or not at all.

    ``temporary`` is where it is built; it must lie beside ``final`` and not exist. A ``final`` that holds
    something is never replaced.
    """
    try:
        temporary.mkdir()
        for name, data in files.items():
            _write_file(temporary / name, data)
        sync_folder(temporary)
        os.rename(temporary, final)
    except BaseException:  # Ctrl-C as well
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(final.parent)


def replace_file(path: Path, data: bytes, *, private: bool = False) -> None:
    """Make the file ``path`` hold ``data``, durably; where that fails it holds what it held before.

    ``private``: nobody but its owner may read it, from its first moment on.
    """
    temporary = path.with_name(path.name + ".new")
    try:
        temporary.unlink(missing_ok=True)  # left by one that was killed; it may have other permissions
        mode = 0o600 if private else 0o666
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except BaseException:  # Ctrl-C as well
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def empty_folder(path: Path) -> None:
    """Delete all that is in a folder, but not what a link points to."""
    if path.is_symlink():
        path.unlink()
        path.mkdir()
    for child in path.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()


def sync_folder(path: Path) -> None:
    """Wait until the entries of a folder (names, renames) are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # what file systems without durable folders answer
            raise
    finally:
        os.close(descriptor)


def _write_file(path: Path, data: bytes) -> None:
    with path.open("xb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
