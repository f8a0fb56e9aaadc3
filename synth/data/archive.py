"""Image files in a tar, one folder for each class, read without unpacking."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from synth.data.decode import EXTENSIONS
from synth.data.files import ImageFile
from synth.errors import SourceError, UnreadableError


def read_tar(path: Path, part: str) -> list[ImageFile]:
    """The images of a tar (plain, gz, bz2 or xz) at ``.../PART/CLASS/NAME``, encoded, sorted by name.

    Raises:
        UnreadableError: the archive is damaged or cut short.
        SourceError: it has no image at such a place.
    """
    files = []
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                place = PurePosixPath(member.name)
                stream = archive.extractfile(member) if member.isfile() else None
                if stream and place.suffix.lower() in EXTENSIONS and part in place.parts[:-2]:
                    class_name = place.parts[place.parts.index(part) + 1]
                    files.append(ImageFile(f"{path.name}/{member.name}", stream.read(), class_name))
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        raise UnreadableError(f"{path} cannot be read ({error}). Fetch it again.") from error
    if not files:
        raise SourceError(f"{path} holds no images at {part}/CLASS/NAME.")
    return sorted(files, key=lambda file: file.origin)
