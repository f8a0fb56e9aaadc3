"""Forms with images, as an ASGI server hands them over: piece by piece."""

from __future__ import annotations

import asyncio
import io
import json
import random
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI, Request
from PIL import Image

from synth.artifacts import ImageInfo
from synth.data.decode import decode
from synth.data.images import fit
from synth.errors import OverloadError
from synth.serving import ServerSettings
from synth.serving.body_limit import BodyLimitMiddleware
from synth.serving.decoding import Decoder
from synth.serving.memory import Memory
from synth.serving.multipart import File
from synth.serving.problems import TooLargeError, install_problem_handlers
from synth.serving.request_id import RequestIdMiddleware
from synth.serving.uploads import read_form

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
BOUNDARY = "limes"


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


PNG = encoded(PIXELS)


def part(name: str, content: bytes | str, *, file: str | None = None, more: str = "") -> bytes:
    about = f'form-data; name="{name}"' + ("" if file is None else f'; filename="{file}"')
    data = content.encode() if isinstance(content, str) else content
    return f"--{BOUNDARY}\r\nContent-Disposition: {about}\r\n{more}\r\n".encode() + data + b"\r\n"


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def picture(content: bytes = PNG, file: str = "a.png") -> bytes:
    return part("images", content, file=file)


def bomb(width: int, height: int) -> bytes:
    """A PNG file whose header claims more than there is."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


@dataclass
class Answer:
    status: int
    headers: dict[bytes, bytes]
    content: Any
    taken: int
    """Pieces of the body that the application took."""

    @property
    def errors(self) -> dict[str, str]:
        return {item["pointer"]: item["detail"] for item in self.content["errors"]}


Send = Callable[..., Answer]


@pytest.fixture
def send() -> Send:
    """Sends a body in pieces to an application that takes the fields ``seed`` and ``fit`` besides images.

    After the last piece the body ends, or the client is ``gone`` or ``stuck``. The answer has what arrived.
    """

    def send(
        pieces: bytes | Iterable[bytes],
        *,
        content_type: str | None = f"multipart/form-data; boundary={BOUNDARY}",
        headers: dict[str, str] | None = None,
        end: str = "",
        channels: int = 3,
        memory: int = 10**6,
        **settings: Any,
    ) -> Answer:
        pieces = [pieces] if isinstance(pieces, bytes) else list(pieces)
        app = small_app(ServerSettings(**settings), ImageInfo(channels=channels, height=4, width=6), memory)
        about = dict(headers or {}) | ({} if content_type is None else {"content-type": content_type})
        try:
            return asyncio.run(play(app, pieces, about, end))
        finally:
            app.state.decoder.close()

    return send


def small_app(settings: ServerSettings, image: ImageInfo, memory_bytes: int) -> FastAPI:
    app = FastAPI()
    install_problem_handlers(app)
    app.add_middleware(
        BodyLimitMiddleware, limit=settings.max_body_bytes, paths={"/upload": settings.max_upload_bytes}
    )
    app.add_middleware(RequestIdMiddleware)
    app.state.decoder = decoder = Decoder(
        image_pixels=settings.max_image_pixels, upload_pixels=settings.max_upload_pixels
    )
    memory = Memory(memory_bytes)

    @app.post("/upload")
    async def upload(request: Request) -> dict[str, Any]:
        try:
            with memory.reserve(0) as held:
                form = await read_form(request, settings, texts=("seed", "fit"), files="images", held=held)
                wanted = "resize" if "fit" in form.texts else None
                images = await decoder.decode(form.files, image, wanted, field="images")
        finally:
            assert memory.used == 0
        return {
            "texts": form.texts,
            "names": [file.name for file in form.files],
            "images": images.permute(0, 2, 3, 1).tolist(),
        }

    return app


async def play(app: FastAPI, pieces: list[bytes], headers: dict[str, str], end: str) -> Answer:
    taken = 0
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        nonlocal taken
        if taken == len(pieces):
            if end == "stuck":
                await asyncio.Event().wait()
            return {"type": "http.disconnect"}
        taken += 1
        more = bool(end) or taken < len(pieces)
        return {"type": "http.request", "body": pieces[taken - 1], "more_body": more}

    async def answer(message: Any) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/upload",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
    }
    async with asyncio.timeout(30):
        await app(scope, receive, answer)
    content = b"".join(message["body"] for message in messages[1:])
    return Answer(messages[0]["status"], dict(messages[0]["headers"]), json.loads(content), taken)


def test_a_form_arrives_whole_however_it_is_cut(send):
    whole = body(part("seed", "7"), picture(), picture(encoded(255 - PIXELS), "b.png"))
    for size in (1, 7, 64, len(whole)):
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        answer = send(pieces)
        assert answer.status == 200
        assert answer.content["texts"] == {"seed": "7"}
        assert answer.content["names"] == ["'a.png'", "'b.png'"]
        assert np.array_equal(answer.content["images"], [PIXELS, 255 - PIXELS])


def test_many_images_keep_their_order(send):
    many = [np.full((4, 6, 3), number, np.uint8) for number in range(200)]
    answer = send(body(*(picture(encoded(pixels)) for pixels in many)))
    assert np.array_equal(answer.content["images"], many)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"max_upload_bytes": 10_000}, "10,000 bytes that one request may have here"),
        ({"max_image_bytes": 10_000}, "The file 'a.png' is longer than the 10,000 bytes"),
        ({"memory": 10_000}, "this may take 1,000 more"),
    ],
)
def test_bytes_are_counted_as_they_arrive_and_no_length_need_be_told(send, settings, says):
    head = picture(b"").removesuffix(b"\r\n")
    answer = send([head, *[bytes(1000)] * 1000], **settings)
    assert answer.status in (413, 503)
    assert says in answer.content["detail"]
    assert answer.taken <= 12


def test_what_is_announced_too_long_is_refused_before_any_of_it_is_taken(send):
    answer = send(body(picture()), headers={"Content-Length": "100001"}, max_upload_bytes=100_000)
    assert (answer.status, answer.taken) == (413, 0)
    assert answer.content["code"] == "too-large"
    assert send(body(picture()), headers={"Content-Length": "9" * 5000}).status == 413


def test_text_fields_have_a_limit_together(send):
    fields = [part("seed", "1" * 600), part("fit", "2" * 600), *[picture()] * 100]
    answer = send(fields, max_body_bytes=1000)
    assert answer.status == 413
    assert "besides images are longer than the 1,000 bytes" in answer.content["detail"]
    assert answer.taken == 2


def test_the_number_of_files_is_limited(send):
    answer = send([picture()] * 10, max_images_per_request=3)
    assert answer.status == 413
    assert "One request may have 3 files" in answer.content["detail"]
    assert answer.taken == 4


def test_a_client_that_stops_sending_is_408(send):
    answer = send(picture(), end="stuck", upload_seconds=1e-3)
    assert (answer.status, answer.content["code"]) == (408, "upload-timeout")
    assert answer.headers[b"connection"] == b"close"


def test_decoding_takes_its_memory_from_the_budget_and_gives_it_back():
    image = ImageInfo(channels=3, height=4, width=6)

    def decode_with(limit: int, used: int = 0) -> Memory:
        memory = Memory(limit)
        decoder = Decoder(image_pixels=10**6, upload_pixels=10**6, memory=memory)
        try:
            with memory.reserve(used):
                asyncio.run(decoder.decode([File("a.png", PNG)] * 40, image, None, field="images"))
        finally:
            decoder.close()
            assert memory.used == 0
        return memory

    most = 4 * 17 * 4 * 6
    decode_with(most)
    with pytest.raises(OverloadError, match="Try again later"):
        decode_with(most, used=most - 1)
    with pytest.raises(TooLargeError, match="Decoding an image of 6 x 4 pixels may take 408 bytes"):
        decode_with(400)


def test_a_client_that_goes_away_leaves_nothing_behind(send):
    for pieces in ([], [picture()], [picture()[:50]]):
        assert send(pieces, end="gone").status == 400


def test_compressed_bodies_are_refused_without_being_read(send):
    for encoding in ("gzip", "identity, br", "GZIP"):
        answer = send(zlib.compress(body(picture())), headers={"Content-Encoding": encoding})
        assert (answer.status, answer.taken) == (415, 0)
        assert answer.headers[b"accept-encoding"] == b"identity"
    assert send(body(picture()), headers={"Content-Encoding": "identity"}).status == 200


@pytest.mark.parametrize(
    "content_type",
    [None, "application/json", "application/x-www-form-urlencoded", "multipart/mixed; boundary=x"],
)
def test_other_types_are_415_and_told_what_to_send(send, content_type):
    answer = send(body(picture()), content_type=content_type)
    assert answer.status == 415
    assert "curl -F images=@photo.png" in answer.content["detail"]


@pytest.mark.parametrize("boundary", ["", "; boundary=", f"; boundary={'x' * 71}"])
def test_a_boundary_is_needed(send, boundary):
    answer = send(body(picture()), content_type=f"multipart/form-data{boundary}")
    assert answer.status == 400
    assert "needs a boundary of 1 to 70 characters" in answer.content["detail"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "ends at byte 0, before the first part"),
        (b"hello", "at byte 0, before the first part: it does not begin with the boundary"),
        (picture()[:60], "in the headers of part 1"),
        (picture()[:-10], "in part 1"),
        (picture() + b"--limes", "in part 1"),
        (picture() + b"--limes oops", "in part 1: the boundary that ends it is followed by"),
        (
            part("images", PNG, file="a.png", more="X: " + "x" * 5000 + "\r\n"),
            "in the headers of part 1: a header",
        ),
        (part("images", PNG, file="a.png", more="X: y\r\n" * 2), "Part 1 has two headers 'x'"),
        (part("images", PNG, file="a.png", more="".join(f"X{n}: y\r\n" for n in range(9))), "too many"),
        (part("seed", "1", more="nothing\r\n"), "in the headers of part 1"),
        (
            part("seed", "1", more="Content-Transfer-Encoding: base64\r\n"),
            "is encoded as 'base64'; send it as it is",
        ),
        (part("seed", "1").replace(b"form-data", b"attachment"), "no header Content-Disposition: form-data"),
        (b"--limes\r\n\r\n1\r\n", "no header Content-Disposition: form-data"),
        (part("seed", "1").replace(b"seed", b"\xff"), "The name of part 1 is not UTF-8"),
    ],
    ids=count(),
)
def test_malformed_bodies_are_400_and_told_what_is_wrong_and_where(send, content, says):
    answer = send(content)
    assert answer.status == 400
    assert answer.content["code"] == "bad-request"
    assert says in answer.content["detail"]


def test_what_follows_the_end_is_passed_over(send):
    assert send([body(picture()), b"\r\n", b"an epilogue"]).status == 200


@pytest.mark.parametrize(
    ("wrong", "pointer", "says"),
    [
        (
            part("sed", "1"),
            "/sed",
            "There is no field 'sed' (did you mean 'seed'?). Fields: seed, fit, images.",
        ),
        (part("images[]", PNG, file="a.png"), "/images[]", "did you mean 'images'?"),
        (part("x" * 500 + "\x1b", "1"), "/" + "x" * 60 + "...", "There is no field"),
        (part("seed", "1") + part("seed", "1"), "/seed", "The field was given twice."),
        (part("seed", b"\xff"), "/seed", "The text is not UTF-8."),
        (part("images", "https://example.org/a.png"), "/images/0", "paths and addresses are never opened."),
    ],
    ids=count(),
)
def test_a_wrong_field_is_named(send, wrong, pointer, says):
    answer = send([wrong, b"--limes--"])
    assert answer.status == 422
    assert list(answer.errors) == [pointer]
    assert says in answer.errors[pointer]


def test_a_wrong_field_is_refused_before_its_content_arrives(send):
    answer = send([part("iamges", b"", file="a.png"), *[bytes(1000)] * 100])
    assert (answer.status, answer.taken) == (422, 1)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "'../../etc/passwd'"),
        ("/etc/passwd", "'/etc/passwd'"),
        (r"C:\\secret\\a.png", "'a.png'"),
        ("\x1b[2J\u202e", r"'\x1b[2J\u202e'"),
        ("a" * 500, f"'{'a' * 60}...'"),
        ("", "''"),
    ],
)
def test_names_of_files_are_cut_and_escaped_and_never_opened(send, name, shown):
    assert send(body(picture(file=name))).content["names"] == [shown]
    answer = send(body(picture(b"root:x:0:0", file=name)))
    assert answer.errors["/images/0"] == f"{shown} is not an image (JPEG, PNG, WEBP)."


def test_names_in_the_old_encoding_make_a_file_too(send):
    old = picture().replace(b'filename="a.png"', b"filename*=utf-8''%C3%A4.png")
    assert send(body(old)).content["names"] == ["(unnamed)"]


GREY = Image.fromarray(PIXELS).convert("L")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty (0 bytes)"),
        (b"GIF89a, or so", "is not an image (JPEG, PNG, WEBP)"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not an image"),
        (encoded(PIXELS, "GIF"), "is not an image"),
        (encoded(PIXELS, "TIFF"), "is not an image"),
        (encoded(PIXELS, "BMP"), "is not an image"),
        (PNG[:60], "is damaged or cut short"),
        (encoded(PIXELS, "JPEG")[:-40], "is damaged or cut short"),
        (encoded(PIXELS, "WEBP")[:-20], "is damaged or cut short"),
        (encoded(PIXELS, "WEBP", save_all=True, append_images=[GREY]), "holds several frames"),
        (encoded(PIXELS, "PNG", save_all=True, append_images=[GREY]), "holds several frames"),
        (bomb(60_000, 60_000), "has more than 178,956,970 pixels"),
        (bomb(6_000, 6_000), "has 6000 x 6000 pixels, above the limit of 16.8 million"),
        (encoded(PIXELS[:3]), "is 3 x 6 (height x width), and the model takes 4 x 6. Send fit=resize"),
        (bomb(9, 9), "is 9 x 9 (height x width)"),
    ],
    ids=count(),
)
def test_what_is_no_image_of_the_model_is_named_by_its_number(send, content, says):
    answer = send(body(picture(), picture(content, "odd.png"), picture()))
    assert answer.status == 422
    assert list(answer.errors) == ["/images/1"]
    assert answer.errors["/images/1"].startswith("'odd.png' ")
    assert says in answer.errors["/images/1"]


def test_only_the_first_of_many_faults_are_listed(send):
    assert list(send(body(*[picture(b"no")] * 100)).errors) == [f"/images/{number}" for number in range(10)]


def test_all_images_together_have_a_limit_of_pixels(send):
    large = picture(encoded(np.zeros((100, 100, 3), np.uint8)))
    fields = [part("fit", "resize"), large, large, large]
    assert send(body(*fields), max_upload_pixels=30_000).status == 200
    answer = send(body(*fields), max_upload_pixels=29_999)
    assert answer.status == 413
    assert "more than 29,999 pixels together" in answer.content["detail"]


def test_a_jpeg_of_endless_scans_is_refused(send):
    data = encoded(PIXELS, "JPEG", progressive=True)
    end = data.rindex(b"\xff\xd9")
    scan = data[data.rindex(b"\xff\xda") : end]
    assert send(body(picture(data))).status == 200
    answer = send(body(picture(data[:end] + 100 * scan + data[end:])))
    assert "has more than 100 scans" in answer.errors["/images/0"]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_become_what_training_makes_of_them(send, channels):
    photo = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    alpha = np.concatenate([photo, photo[..., :1]], axis=2)
    exif = Image.Exif()
    exif[0x0112] = 6
    cmyk = io.BytesIO()
    Image.fromarray(photo).convert("CMYK").save(cmyk, "JPEG")
    files = [
        cmyk.getvalue(),
        encoded(photo),
        encoded(photo[..., 0]),
        encoded(alpha),
        encoded(photo, "JPEG", exif=exif),
        encoded(photo, "WEBP"),
        encoded(photo[..., 0].astype(np.uint16) * 257),
    ]
    answer = send(body(part("fit", "resize"), *map(picture, files)), channels=channels)
    expected = [fit(decode(file).pixels, (4, 6), channels) for file in files]
    assert np.array_equal(answer.content["images"], [np.broadcast_to(e, (4, 6, channels)) for e in expected])


def test_a_picture_on_its_side_may_be_of_the_models_size_once_it_is_upright(send):
    exif = Image.Exif()
    exif[0x0112] = 6
    on_its_side = np.ascontiguousarray(np.rot90(PIXELS))
    assert np.array_equal(send(body(picture(encoded(on_its_side, exif=exif)))).content["images"], [PIXELS])
    assert "is 6 x 4" in send(body(picture(encoded(on_its_side)))).errors["/images/0"]


def test_mutated_bodies_are_taken_or_refused_and_never_anything_else():
    good = body(
        part("seed", "7"), part("fit", "resize"), picture(), picture(encoded(PIXELS, "JPEG"), "b.jpg")
    )
    chance = random.Random(0)
    marks = [b"\r\n", b"--limes", b"--", b":", b'"', b";", b"=", b"\x00", b"\xff", b"images", b""]
    app = small_app(ServerSettings(), ImageInfo(channels=3, height=4, width=6), 10**6)

    def mutant() -> bytes:
        changed = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(changed))
            changed[at : at + chance.choice([0, 1, 1, 8, 200])] = chance.choice(marks)
        return bytes(changed)

    async def scenario() -> None:
        refused = 0
        while refused < 500:
            content = mutant()
            cut = chance.randrange(len(content))
            about = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
            answer = await play(app, [content[:cut], content[cut:]], about, "")
            assert answer.status in (200, 400, 413, 415, 422), content
            if answer.status != 200:
                refused += 1
                assert answer.headers[b"content-type"] == b"application/problem+json"
                assert answer.content["detail"]

    asyncio.run(scenario())
    app.state.decoder.close()


def test_content_that_holds_the_boundary_is_refused_for_the_parser_would_be_slow(send):
    false = b"\r\n--limes-x"
    answer = send([picture(false)[:-2], *[100 * false] * 100])
    assert (answer.status, answer.taken) == (400, 2)
    assert "The boundary appears in part 1" in answer.content["detail"]
