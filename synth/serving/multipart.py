"""Bodies of the type ``multipart/form-data`` (RFC 7578), read piece by piece into memory under limits.

What is over a limit, or nobody asked for, is refused as soon as it begins; no more of it is kept. Names of
files are for messages alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fastapi.exceptions import RequestValidationError
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError

from synth.serving.form_parts import LONGEST_NAME, Part, boundary_of, disposition, shown
from synth.serving.problems import MalformedBodyError, TooLargeError
from synth.text import closest

_MOST_HEADERS = 8
_LONGEST_HEADER = 4096
_MOST_PICTURES = 32
"""Files in each field but that of the images."""

_NO_BOUNDARY = "it does not begin with the boundary that Content-Type names"
_BAD_HEADER = f"a header is malformed, or longer than {_LONGEST_HEADER:,} bytes, or there are too many"
_BAD_END = "the boundary that ends it is followed by something else than the end of the line"


@dataclass(frozen=True)
class FormLimits:
    """How much a form may hold."""

    files: int
    file_bytes: int
    """Of each file."""
    text_bytes: int
    """Of all fields together that are not files."""
    remedy: str
    """What is to be done with more files."""


@dataclass(frozen=True)
class File:
    """One file as it was sent."""

    name: str
    """What the client calls it, cut and escaped: for messages, and never a path."""
    content: bytes


@dataclass(frozen=True)
class Form:
    """A whole body: the text fields by name, and the files in their order; pictures by the field's name."""

    texts: Mapping[str, str]
    files: Sequence[File]
    pictures: Mapping[str, Sequence[File]] = field(default_factory=dict)


def field_error(message: str, *place: str | int) -> RequestValidationError:
    """422 that names a place in the body, such as ``("images", 3)``; ``message`` is a sentence."""
    return RequestValidationError([{"type": "value_error", "loc": ("body", *place), "msg": message}])


class FormReader:
    """Takes a body as it arrives.

    All methods raise MalformedBodyError where the body is no form, TooLargeError where it is over a limit,
    and RequestValidationError where a field is unknown, given twice or not text.
    """

    def __init__(
        self,
        content_type: str,
        *,
        texts: Sequence[str],
        files: str,
        pictures: Sequence[str] = (),
        limits: FormLimits,
    ) -> None:
        """
        Args:
            content_type: the header of that name; raises UnsupportedMediaError where it is of another type.
            texts: names of the fields that may be given, once each.
            files: name of the field that holds files.
            pictures: names of further fields that hold files.
        """
        self._texts, self._files, self._limits = texts, files, limits
        self._form_texts: dict[str, str] = {}
        self._form_files: dict[str, list[File]] = {name: [] for name in (files, *pictures)}
        self._text_bytes = 0
        self._part: Part | None = None
        self._parts = 0
        self._place, self._wrong = "before the first part", _NO_BOUNDARY
        self._ended = False
        self._received = 0
        boundary = boundary_of(content_type)
        self._delimiter, self._delimiters = b"\r\n--" + boundary, 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._data,
                "on_part_end": self._part_ends,
                "on_end": self._end,
            },
            max_header_count=_MOST_HEADERS,
            max_header_size=_LONGEST_HEADER,
        )

    def write(self, piece: bytes) -> None:
        """Take the next bytes of the body."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            at = self._received + max(getattr(error, "offset", 0), 0)
            raise MalformedBodyError(
                f"The body is no multipart/form-data at byte {at:,}, {self._place}: {self._wrong}."
            ) from error
        self._received += len(piece)
        # Content may not hold the boundary (RFC 2046, 5.1.1). The parser would take it, at a few MB/s.
        self._delimiters += piece.count(self._delimiter)
        if self._delimiters > self._parts + 1 and not self._ended:
            raise MalformedBodyError(
                f"The boundary appears {self._place}, in what is sent. Choose another one."
            )

    def finish(self) -> Form:
        """The whole form, once all bytes are there."""
        if not self._ended:
            raise MalformedBodyError(
                f"The body ends at byte {self._received:,}, {self._place}, without the last boundary: it was "
                "cut short."
            )
        pictures = {name: found for name, found in self._form_files.items() if found}
        return Form(self._form_texts, pictures.pop(self._files, []), pictures)

    def _part_begins(self) -> None:
        self._parts += 1
        self._part = Part(self._parts)
        self._place, self._wrong = f"in the headers of part {self._parts}", _BAD_HEADER

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._current.header_name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._current.header_value += data[start:end]

    def _header_ends(self) -> None:
        part = self._current
        name = part.header_name.lower()
        if name in part.headers:
            raise MalformedBodyError(f"Part {part.number} has two headers {shown(name)}.")
        part.headers[name] = part.header_value
        part.header_name = part.header_value = b""

    def _headers_end(self) -> None:
        part = self._current
        part.name, part.file_name = disposition(part)
        self._place, self._wrong = f"in part {part.number}", _BAD_END
        if part.name in self._form_files:
            self._admit_file(part)
        elif part.name not in self._texts:
            known = [*self._texts, *self._form_files]
            raise field_error(
                f"There is no field {shown(part.name)}{closest(part.name[:LONGEST_NAME], known)}. "
                f"Fields: {', '.join(known)}",
                shown(part.name)[1:-1],
            )
        elif part.name in self._form_texts:
            raise field_error("The field was given twice", part.name)

    def _admit_file(self, part: Part) -> None:
        there = self._form_files[part.name]
        if part.file_name is None:
            raise field_error(
                f"This was sent as text. Send files (curl -F {part.name}=@photo.png): paths and addresses "
                "are never opened",
                part.name,
                len(there),
            )
        if part.name != self._files and len(there) == _MOST_PICTURES:
            raise field_error(f"The field may hold {_MOST_PICTURES} files", part.name)
        if len(there) == self._limits.files:
            raise TooLargeError(f"One request may have {self._limits.files:,} files. {self._limits.remedy}")

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._current
        part.size += end - start
        if part.name in self._form_files:
            if part.size > self._limits.file_bytes:
                raise TooLargeError(
                    f"The file {part.file_name} is longer than the {self._limits.file_bytes:,} bytes that "
                    "one may have. Send it smaller."
                )
        else:
            self._text_bytes += end - start
            if self._text_bytes > self._limits.text_bytes:
                raise TooLargeError(
                    f"The fields besides {self._files} are longer than the {self._limits.text_bytes:,} bytes "
                    "that they may have together."
                )
        part.content.write(memoryview(data)[start:end])

    def _part_ends(self) -> None:
        part = self._current
        content = part.content.getvalue()
        if part.name in self._form_files:
            assert part.file_name is not None  # or it would have been refused
            self._form_files[part.name].append(File(part.file_name, content))
        else:
            try:
                self._form_texts[part.name] = content.decode()
            except UnicodeDecodeError:
                raise field_error("The text is not UTF-8", part.name) from None
        self._part = None
        self._place = f"after part {part.number}"

    def _end(self) -> None:
        self._ended = True

    @property
    def _current(self) -> Part:
        assert self._part is not None  # the parser calls in the order of the body
        return self._part
