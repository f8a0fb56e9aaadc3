import io
import json
import shlex

import numpy as np
import pytest
import torch
from PIL import Image

from synth.batch import Batch, Fingerprint
from synth.data.png import encode_png
from synth.data.provenance import png_texts, sample_records


def batch(classes=("cat", "dog"), labels=(1,), seed=2**64 - 1):
    return Batch(
        images=torch.zeros(1, 3, 2, 2, dtype=torch.uint8),
        labels=None if classes is None else torch.tensor(labels),
        index=torch.tensor([41]),
        seed=seed,
        fingerprint=Fingerprint("pets@2", "ab" * 32, "2.11", "cpu", "bf16", "exact"),
        classes=classes,
        parameters={"temperature": 0.5},
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_survive_png(channels):
    image = np.arange(5 * 7 * channels, dtype=np.uint8).reshape(5, 7, channels)
    with Image.open(io.BytesIO(encode_png(image, {}))) as picture:
        assert picture.mode == {1: "L", 3: "RGB"}[channels]
        assert np.array_equal(np.asarray(picture).reshape(image.shape), image)


def test_an_image_says_that_it_is_synthetic_and_how_to_make_it_again():
    with Image.open(io.BytesIO(encode_png(batch().numpy()[0], png_texts(batch())[0]))) as picture:
        text = picture.text
    assert text["Software"].startswith("synth ")
    assert text["synth:synthetic"] == "true"
    assert (text["synth:model"], text["synth:digest"]) == ("pets@2", "ab" * 32)
    assert (text["synth:seed"], text["synth:index"], text["synth:label"]) == (str(2**64 - 1), "41", "dog")
    assert json.loads(text["synth:parameters"]) == {"temperature": 0.5}
    assert json.loads(text["synth:fingerprint"])["mode"] == "exact"
    assert text["Comment"] == (
        "Synthetic image. Reproduce with: synth generate pets@2 --count 1 --seed 18446744073709551615 "
        "--start 41 --labels dog --set temperature=0.5 --precision bf16 --mode exact --out DIR"
    )


def test_class_names_of_any_script_survive_in_the_text():
    picture = Image.open(io.BytesIO(encode_png(batch().numpy()[0], png_texts(batch(("a", "кот")))[0])))
    assert picture.text["synth:label"] == "кот"


@pytest.mark.parametrize(("name", "argument"), [("a b", "a b"), ("x=1", "1"), ("balanced", "1")])
def test_the_command_names_a_class_so_that_it_is_read_as_that_class(name, argument):
    words = shlex.split(png_texts(batch(("cat", name)))[0]["Comment"])
    assert words[words.index("--labels") + 1] == argument


def test_a_record_without_classes_has_no_label_and_is_json():
    record = sample_records(batch(classes=None))[0]
    assert record["label"] is None
    assert record["label_name"] is None
    assert "--labels" not in png_texts(batch(classes=None))[0]["Comment"]
    assert json.loads(json.dumps(record)) == record
