from __future__ import annotations

import io
import struct
import zlib
from functools import partial

import numpy as np
import pytest
from PIL import Image

from synth.data.decode import check_size, decode
from synth.data.pixels import content_id, over_white
from synth.errors import UnreadableError

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOUR = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_equal_pictures_in_different_containers_have_equal_pixels_and_ids():
    image = Image.fromarray(COLOUR)
    files = [
        encoded(image),
        encoded(image, "BMP"),
        encoded(image, "TIFF"),
        encoded(image, "WEBP", lossless=True),
        encoded(image.convert("RGBA")),
    ]
    assert all(np.array_equal(decode(file).pixels, COLOUR) for file in files)
    assert len({content_id(decode(file).pixels) for file in files}) == 1


def test_grey_pictures_have_one_channel_however_they_are_stored():
    image = Image.fromarray(GREY)
    for file in (
        encoded(image),
        encoded(image.convert("RGB")),
        encoded(image.convert("RGBA")),
        encoded(image.convert("LA")),
        encoded(image.convert("P")),
        encoded(image, "GIF"),
    ):
        decoded = decode(file)
        assert np.array_equal(decoded.pixels, GREY[:, :, None])
        assert decoded.changes == ()


def test_one_bit_pictures_become_black_and_white():
    bits = GREY > 100
    assert np.array_equal(decode(encoded(Image.fromarray(bits))).pixels[..., 0], bits * 255)


def test_transparency_is_laid_over_white():
    alpha = np.linspace(0, 255, 48).astype(np.uint8).reshape(6, 8, 1)
    rgba = np.concatenate([COLOUR, alpha], axis=2)
    decoded = decode(encoded(Image.fromarray(rgba)))
    share = alpha / 255
    assert np.abs(decoded.pixels - (COLOUR * share + 255 * (1 - share))).max() <= 0.5
    assert decoded.changes == ("transparency laid over white",)
    assert np.array_equal(over_white(rgba), decoded.pixels)


def test_palette_and_grey_transparency_is_laid_over_white():
    palette = Image.fromarray((GREY > 100).astype(np.uint8)).convert("P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    for transparency in (0, b"\x00\xff"):
        pixels = decode(encoded(palette, transparency=transparency)).pixels
        assert pixels[0, 0].tolist() == [255, 255, 255]
        assert pixels[-1, -1].tolist() == [0, 0, 255]
    assert decode(encoded(Image.fromarray(GREY), transparency=0)).pixels[0, 0, 0] == 255


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight(kind):
    decoded = decode(encoded(Image.fromarray(GREY.astype(np.uint16) * 257), kind))
    assert np.array_equal(decoded.pixels[..., 0], GREY)
    assert decoded.changes == ("16 bits per pixel scaled to 8",)


def test_cmyk_becomes_rgb():
    decoded = decode(encoded(Image.new("CMYK", (8, 6), (0, 255, 255, 0)), "JPEG", quality=95))
    assert decoded.changes == ("CMYK converted to RGB",)
    assert np.abs(decoded.pixels.astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_turns_the_picture_upright(kind):
    pixels = np.zeros((32, 16, 3), dtype=np.uint8)
    pixels[:16] = (250, 10, 10)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: turn by 90 degrees clockwise
    decoded = decode(encoded(Image.fromarray(pixels), kind, exif=exif))
    assert decoded.pixels.shape == (16, 32, 3)
    assert decoded.pixels[8, 28, 0] > 200
    assert decoded.pixels[8, 4, 0] < 50


def test_of_an_animation_the_first_frame_is_used():
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    decoded = decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert np.array_equal(decoded.pixels[..., 0], GREY)
    assert decoded.changes == ("first of several frames used",)


@pytest.mark.parametrize("lossless", [False, True])
def test_of_a_webp_file_not_even_the_decoder_is_made_before_its_size_is_checked(lossless):
    exif = Image.Exif()
    exif[0x010E] = "makes a WebP file an extended one"
    for more in ({}, {"exif": exif}):
        data = encoded(Image.fromarray(GREY), "WEBP", lossless=lossless, **more)
        with pytest.raises(UnreadableError, match="8 x 6 pixels, above the limit"):
            decode(data[:30] + bytes(len(data)), check=partial(check_size, most=47))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_size_is_checked_once(kind):
    seen = []
    decode(encoded(Image.fromarray(GREY), kind), check=lambda width, height: seen.append((width, height)))
    assert seen == [(8, 6)]


def test_an_image_bomb_is_refused():
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    with pytest.raises(UnreadableError):
        decode(bomb)


def test_formats_and_animations_that_the_caller_does_not_take_are_refused():
    frames = [Image.fromarray(COLOUR), Image.fromarray(255 - COLOUR)]
    with pytest.raises(UnreadableError, match=r"is not an image \(PNG, WEBP\)"):
        decode(encoded(frames[0], "JPEG"), formats=("PNG", "WEBP"))
    for kind in ("PNG", "WEBP"):
        moving = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        with pytest.raises(UnreadableError, match="several frames"):
            decode(moving, animated=False)


def test_formats_outside_the_list_and_floating_point_are_refused():
    with pytest.raises(UnreadableError, match="is not an image"):
        decode(encoded(Image.fromarray(COLOUR), "PPM"))
    with pytest.raises(UnreadableError, match="floating point"):
        decode(encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"))


@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"])
def test_files_cut_short_or_garbled_never_raise_anything_else(kind):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(UnreadableError):
        decode(data[: len(data) // 2])
    random = np.random.default_rng(2)
    for _ in range(60):
        garbled = bytearray(data)
        for place in random.integers(0, min(len(data), 400), 5):
            garbled[place] = random.integers(256)
        try:
            decode(bytes(garbled))
        except UnreadableError:
            continue
