from __future__ import annotations

import pytest
import torch

from synth.evaluation.metrics import Validity, check_validity

CLASSES = ("cat", "dog", "owl")


def check(images, labels=None, *, shape=(1, 4, 4), classes=None) -> Validity:
    return check_validity(images, labels, shape=shape, classes=classes)


def pictures(count: int = 10) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def test_valid_images_pass():
    found = check(pictures(), torch.arange(10) % 3, classes=CLASSES)
    assert found == Validity(1.0, [], [])
    assert found.passed
    assert check(pictures()).passed


def test_no_images_do_not_pass():
    assert check(pictures(0)) == Validity(0.0, ["There are no images."], [])


@pytest.mark.parametrize("shape", [(1, 4, 5), (3, 4, 4), (1, 5, 4)])
def test_another_shape_is_told(shape):
    found = check(pictures(), shape=shape)
    assert not found.passed
    assert found.valid_share == 0
    assert "are 1 x 4 x 4, and the real ones " + " x ".join(map(str, shape)) in found.problems[0]


def test_pixels_that_are_no_bytes_are_told_with_what_they_hold():
    images = pictures().float()
    images[3, 0, 0, 0] = torch.nan
    images[5, 0, 1, 1] = 300
    images[6, 0, 1, 1] = -1
    found = check(images)
    assert found.valid_share == 0
    assert found.problems == [
        "The pixels are float32, and must be uint8.",
        "1 of 10 images with pixels that are NaN or infinite, the first in row 3.",
        "2 of 10 images with pixels out of 0 to 255, the first in row 5.",
    ]


def test_labels_out_of_the_set_of_classes_are_counted():
    labels = torch.arange(10) % 3
    labels[4], labels[7] = 3, -1
    found = check(pictures(), labels, classes=CLASSES)
    assert found.valid_share == 0.8
    assert found.problems == ["2 of 10 images with a label out of 0 to 2, the first in row 4."]


@pytest.mark.parametrize(
    ("labels", "classes", "says"),
    [
        (None, CLASSES, "have no labels, and the real ones are of 3 classes"),
        (torch.zeros(10).long(), None, "have labels, and the real ones have none"),
        (torch.zeros(9).long(), CLASSES, "one integer for each of 10 images"),
        (torch.zeros(10), CLASSES, "float32 [10], and must be"),
    ],
)
def test_labels_that_do_not_fit_are_told(labels, classes, says):
    found = check(pictures(), labels, classes=classes)
    assert found.valid_share == 0
    assert says in found.problems[0]


def test_missing_classes_and_blank_images_are_valid_but_noted():
    images = pictures()
    images[2:4] = 7
    found = check(images, torch.ones(10).long(), classes=CLASSES)
    assert found.passed
    assert found.notes == ["2 of 10 images are of a single colour.", "No images of 2 of 3 classes: cat, owl."]
