"""The parts of a form (RFC 7578): their headers, and what they say of themselves."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

from python_multipart.multipart import parse_options_header

from synth.serving.problems import MalformedBodyError, UnsupportedMediaError

_LONGEST_BOUNDARY = 70
"""Characters (RFC 2046, 5.1.1)."""
LONGEST_NAME = 60
"""Characters of a name that are shown."""


@dataclass
class Part:
    """The part that is being read."""

    number: int
    headers: dict[bytes, bytes] = field(default_factory=dict)
    header_name: bytes = b""
    header_value: bytes = b""
    name: str = ""
    file_name: str | None = None
    content: io.BytesIO = field(default_factory=io.BytesIO)
    size: int = 0


def boundary_of(content_type: str) -> bytes:
    """What separates the parts; raises UnsupportedMediaError, or MalformedBodyError where there is none."""
    media_type, options = parse_options_header(content_type)
    if media_type != b"multipart/form-data":
        raise UnsupportedMediaError(
            "Send the body as multipart/form-data, with the images as files: curl -F images=@photo.png"
        )
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= _LONGEST_BOUNDARY:
        raise MalformedBodyError(
            "Content-Type: multipart/form-data needs a boundary of 1 to 70 characters; leave the header to "
            "your HTTP library, which makes one."
        )
    return boundary


def disposition(part: Part) -> tuple[str, str | None]:
    """The name of a part's field; and the name of its file, None if it is none."""
    header = part.headers.get(b"content-disposition", b"")
    kind, options = parse_options_header(header)
    if kind != b"form-data" or b"name" not in options:
        raise MalformedBodyError(
            f"Part {part.number} has no header Content-Disposition: form-data with the name of a field."
        )
    encoding = part.headers.get(b"content-transfer-encoding", b"binary").strip().lower()
    if encoding not in (b"7bit", b"8bit", b"binary"):
        raise MalformedBodyError(f"Part {part.number} is encoded as {shown(encoding)}; send it as it is.")
    try:
        name = options[b"name"].decode()
    except UnicodeDecodeError:
        raise MalformedBodyError(f"The name of part {part.number} is not UTF-8.") from None
    if b"filename" in options:
        return name, shown(options[b"filename"])
    # Old clients write names beyond ASCII in this way; they are not needed.
    return name, "(unnamed)" if b"filename*=" in header.lower() else None


def shown(name: bytes | str) -> str:
    """A client's word within quotes, cut, and with what is not printable escaped."""
    text = name.decode(errors="replace") if isinstance(name, bytes) else name
    return repr(text if len(text) <= LONGEST_NAME else text[:LONGEST_NAME] + "...")
