import io
import shutil
import struct
import subprocess
import threading
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.io import decode_png

from synth.data import fastpng, png
from synth.data.png import encode_batch, encode_png

SHAPES = [(1, 1), (1, 7), (7, 1), (3, 5), (28, 28), (33, 65), (64, 64), (511, 3), (2, 512), (512, 512)]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def pillow_pixels(data):
    with Image.open(io.BytesIO(data)) as picture:
        picture.verify()
    with Image.open(io.BytesIO(data)) as picture:
        pixels = np.asarray(picture)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def torchvision_pixels(data):
    return decode_png(torch.frombuffer(bytearray(data), dtype=torch.uint8)).permute(1, 2, 0).numpy()


def content(kind, height, width, channels):
    if kind == "zero":
        return np.zeros((height, width, channels), np.uint8)
    if kind == "noise":
        return noise(height, width, channels)
    ramp = np.add.outer(np.arange(height) * 3, np.arange(width))[..., None] + 40 * np.arange(channels)
    return (ramp // 4 % 256).astype(np.uint8)


@pytest.mark.filterwarnings("ignore:The image decoding and encoding capabilities:DeprecationWarning")
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["zero", "noise", "smooth"])
@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_three_readers_find_the_same_pixels(height, width, kind, channels, read_png):
    image = content(kind, height, width, channels)
    data = encode_png(image, {"synth:seed": "1"})
    for pixels in (pillow_pixels(data), torchvision_pixels(data), read_png(data).pixels):
        assert pixels.dtype == np.uint8
        assert np.array_equal(pixels, image)
    assert read_png(data).kinds == ["IHDR", "tEXt", "IDAT", "IEND"]


@pytest.mark.skipif(shutil.which("pngcheck") is None, reason="pngcheck is not installed")
@pytest.mark.parametrize("channels", [1, 3])
def test_pngcheck_finds_no_fault(channels, tmp_path):
    for number, (height, width) in enumerate(SHAPES):
        path = tmp_path / f"{number}.png"
        path.write_bytes(encode_png(noise(height, width, channels), {"Comment": "", "synth:label": "кот"}))
        subprocess.run(["pngcheck", "-q", str(path)], check=True, capture_output=True)


@pytest.mark.parametrize(
    "image",
    [
        noise(513, 4, 3),
        noise(4, 513, 1),
        noise(5, 6, 4),
        noise(5, 6, 1).astype(np.uint16) * 257,
    ],
    ids=["high", "wide", "alpha", "sixteen bits"],
)
def test_anything_else_is_left_to_pillow(image):
    assert not fastpng.writable(image[None])
    data = encode_png(image, {"synth:label": "кот"})
    assert np.array_equal(pillow_pixels(data), image)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.text == {"synth:label": "кот"}


def test_views_and_read_only_images_are_written_as_they_look(read_png):
    planes = noise(4, 3, 9, 11)
    planes.flags.writeable = False
    views = [
        planes.transpose(0, 2, 3, 1),
        planes.transpose(0, 2, 3, 1)[:, ::-1, ::-2],
        planes.transpose(0, 3, 2, 1)[::2],
        np.broadcast_to(np.uint8(7), (3, 5, 5, 1)),
    ]
    for images in views:
        files = encode_batch(images, [{}] * len(images))
        assert all(np.array_equal(read_png(files[row]).pixels, image) for row, image in enumerate(images))
        assert files == [encode_png(image, {}) for image in images]


TEXT = {
    "Comment": "",
    "Title": "naïve café ÿ",
    "synth:label": "кот",
    "Author": "猫 and 🐈",
    "Software": "two\nlines",
}


def test_text_is_latin_1_where_it_can_be_and_utf_8_where_it_must_be(read_png):
    data = encode_png(noise(4, 4, 1), TEXT)
    strict = read_png(data)
    assert strict.text == TEXT
    assert list(strict.text) == list(TEXT)
    assert strict.kinds == ["IHDR", "tEXt", "tEXt", "iTXt", "iTXt", "tEXt", "IDAT", "IEND"]
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.text == TEXT


def test_text_is_that_of_pillow_byte_for_byte():
    def chunks_before_the_pixels(data):
        return data[33 : data.index(b"IDAT") - 4]

    small, large = encode_png(noise(4, 4, 1), TEXT), encode_png(noise(513, 4, 1), TEXT)
    assert chunks_before_the_pixels(small) == chunks_before_the_pixels(large)


@pytest.mark.parametrize("side", [4, 513])
@pytest.mark.parametrize("keyword", ["", "k" * 80, " a", "a ", "a  b", "a\nb", "a\0b", "кот", "a\xa0b"])
def test_a_keyword_that_png_does_not_allow_is_refused(keyword, side):
    with pytest.raises(ValueError, match="cannot be a PNG keyword"):
        encode_png(noise(side, 4, 1), {keyword: "text"})


@pytest.mark.parametrize("text", ["a\0b", "к\0т"])
def test_text_with_a_zero_is_refused(text):
    with pytest.raises(ValueError, match="cannot hold the character 0"):
        encode_png(noise(4, 4, 1), {"Comment": text})


def test_images_and_texts_must_be_as_many():
    for count in (1, 3):
        with pytest.raises(ValueError, match=f"2 images and {count} texts"):
            encode_batch(noise(2, 4, 4, 1), [{}] * count)


def test_an_empty_batch_is_no_files():
    assert encode_batch(noise(0, 4, 4, 3), []) == []


@pytest.mark.parametrize("shape", [(300, 32, 32, 3), (7, 400, 400, 3), (3, 600, 600, 1)])
def test_a_batch_is_the_same_files_in_the_same_order_in_any_number_of_threads(shape, monkeypatch):
    images = noise(*shape)
    texts = [{"synth:index": str(number)} for number in range(len(images))]
    expected = [encode_png(image, text) for image, text in zip(images, texts, strict=True)]
    for threads in (1, 2, 5):
        monkeypatch.setattr(png, "worker_threads", lambda threads=threads: threads)
        assert encode_batch(images, texts) == expected


def test_a_batch_of_some_size_is_encoded_in_several_threads(monkeypatch):
    seen = set()
    together = threading.Barrier(3, timeout=30)

    def encode(images, texts):
        if threading.current_thread() not in seen:
            seen.add(threading.current_thread())
            together.wait()
        return [b""] * len(images)

    monkeypatch.setattr(png, "worker_threads", lambda: 3)
    monkeypatch.setattr(png, "_encode", encode)
    assert len(encode_batch(np.zeros((600, 64, 64, 1), np.uint8), [{}] * 600)) == 600
    assert len(seen) == 3
    assert threading.main_thread() not in seen


def test_the_strict_reader_notices_a_match_from_beyond_the_window(read_png, monkeypatch):
    image = np.concatenate([noise(64, 128, 1)] * 2).cumsum(axis=0).astype(np.uint8)
    monkeypatch.setattr(fastpng, "_NARROW", 15)
    data = bytearray(encode_png(image, {}))
    assert np.array_equal(read_png(bytes(data)).pixels, image)
    start = data.index(b"IDAT")
    data[start + 4 : start + 6] = zlib.compressobj(wbits=9).flush()[:2]
    data[-16:-12] = struct.pack(">I", zlib.crc32(data[start:-16]))
    with pytest.raises(zlib.error, match="too far back"):
        read_png(bytes(data))
