"""Data sets of users: what their images and targets may be, and what becomes of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.datasets import ImageFolder

from synth.augment import Pipeline
from synth.data import open_source
from synth.errors import SourceError
from synth.integrations.torch import as_stream, as_torch, as_transform, collate
from tests.data.detection.conftest import coco as coco
from tests.data.detection.conftest import picture as picture

FLIP = Pipeline.read({"sample": [{"operation": "horizontal_flip", "probability": 1.0}]})
PIXELS = np.arange(2 * 4 * 6, dtype=np.uint8).reshape(2, 4, 6)
FLIPPED = torch.from_numpy(PIXELS[..., ::-1].copy())


class Items(list):
    """A list is a data set of PyTorch too; this one names its classes."""

    classes = ("cat", "dog")

    def __getitem__(self, position):
        return super().__getitem__(position)


def augmented(*items, pipeline=FLIP, **options):
    data = Items(items)
    return as_torch(data, pipeline, **options).__getitems__(range(len(data)))


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(PIXELS[0]),
        PIXELS[0],
        PIXELS[0][..., None],
        torch.from_numpy(PIXELS[0]),
        tv_tensors.Image(torch.from_numpy(PIXELS[:1])),
    ],
    ids=lambda image: type(image).__name__,
)
def test_an_image_may_have_any_usual_form(image):
    (made,) = augmented(image)
    assert type(made) is torch.Tensor
    assert torch.equal(made, FLIPPED[:1])


def test_pictures_with_alpha_or_a_palette_keep_their_look():
    rgba = Image.fromarray(np.stack([PIXELS[0]] * 3 + [PIXELS[1]], axis=-1), "RGBA")
    colour = np.stack([PIXELS[0], PIXELS[1], PIXELS[0]], axis=-1)
    palette = Image.fromarray(colour).convert("P")
    four, three = (augmented(one)[0] for one in (rgba, palette))
    assert [len(four), len(three)] == [4, 3]
    assert torch.equal(three[0], torch.from_numpy(np.array(palette.convert("RGB"))[..., 0]).flip(1))


def test_pictures_of_a_folder_are_augmented_as_those_of_a_source(tmp_path):
    """Grey pictures as such, though loaders give them three channels; transparency as it looks on white."""
    colour = np.stack([PIXELS[0], PIXELS[1], PIXELS[0]], axis=-1)
    for name in "ab":
        (tmp_path / name).mkdir()
    Image.fromarray(PIXELS[0]).save(tmp_path / "a" / "grey.png")
    Image.fromarray(colour).save(tmp_path / "b" / "colour.png")
    clear = Image.fromarray(colour).convert("P")
    clear.save(tmp_path / "a" / "clear.png", transparency=clear.getpixel((0, 0)))
    for spec in ({"sample": ["gaussian_noise", "hue"]}, {"sample": ["gaussian_noise"], "batch": ["mixup"]}):
        pipeline = Pipeline.read(spec, seed=1)
        theirs = collate(as_torch(ImageFolder(tmp_path, loader=_opaque), pipeline).__getitems__(range(3)))
        ours = collate(as_torch(open_source(tmp_path), pipeline, channels=3).__getitems__(range(3)))
        assert torch.equal(theirs[0], ours[0])
        assert torch.equal(theirs[1], ours[1])
    transform = as_transform(FLIP)
    for name in ("a/grey.png", "b/colour.png"):
        with Image.open(tmp_path / name) as picture:
            made = transform(picture)
            assert (made.mode, np.array(made).tolist()) == (picture.mode, np.array(picture)[:, ::-1].tolist())


def _opaque(path):
    """As loaders of torchvision give pictures, but with what they know of transparency."""
    with Image.open(path) as picture:
        return picture.copy() if "transparency" in picture.info else picture.convert("RGB")


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (torch.zeros(1, 4, 6), r"Items\[0\] has a tensor of float32 \[1, 4, 6\]"),
        (np.zeros((4, 6), dtype=np.uint16), "an array of uint16"),
        (Image.new("I;16", (4, 4)), "a PIL image of mode I;16"),
        ("cat.png", "has str for an image"),
        ((PIXELS[0], 1, 2), "a tuple of 3"),
        ((PIXELS[0], {"boxes": np.zeros((0, 4)), "area": [3.0]}), "'area', and it is not known"),
        ((PIXELS[0], {"labels": [1]}), "has labels of objects and no boxes"),
        ((PIXELS[0], {"boxes": np.zeros((0, 4)), "masks": PIXELS[0]}), "have one each, "),
        ((PIXELS[0], {"mask": np.zeros((4, 6), dtype=np.float32)}), "no picture of integers"),
        ((PIXELS[0], np.zeros((5, 6), dtype=np.int64)), "masks are 5 x 6"),
        ((PIXELS[0], {"boxes": [[3.0, 0.0, 1.0, 2.0]]}), "left, top, right, bottom"),
        ((PIXELS[0], {"boxes": [[1, 1, 3]]}), r"boxes of Items\[0\] are \[1, 3\], where \[n, 4\]"),
        ((PIXELS[0], {"boxes": [["a", 1, 1, 3]]}), "are no table of numbers"),
        ((PIXELS[0], {"boxes": [[0, 0, 1, 2]] * 2, "labels": [1]}), r"labels .* are \[1\], and 2 are wanted"),
        ((PIXELS[0], {"boxes": [[0, 0, 1, 2]] * 2, "objects": [1]}), r"objects .* are \[1\], and 2"),
        ((PIXELS[0], {"points": [1, 2, 3]}), r"points .* are \[3\], where \[n, 2\]"),
        ((PIXELS[0], {"points": [[1, 2]], "owners": [1, 2]}), r"owners .* are \[2\], and 1"),
        ((PIXELS[0], [{"bbox": [0, 0, 1, 1]}]), "target of list, .* which horizontal_flip moves"),
        ((PIXELS[0], ([0, 0, 1, 1], 1)), "target of tuple"),
        ((PIXELS[0], torch.zeros(1, 4)), "target of Tensor"),
        ((PIXELS[0], np.zeros((4, 6), dtype=np.float32)), "target of ndarray"),
        ((PIXELS[0], Image.new("RGB", (6, 4))), "target of Image"),
    ],
)
def test_what_cannot_be_augmented_is_refused_and_named(item, message):
    with pytest.raises(SourceError, match=message):
        augmented(item)


def test_targets_move_with_their_image_and_keep_their_form():
    mask = torch.arange(24).reshape(4, 6)
    boxes = tv_tensors.BoundingBoxes([[1, 1, 2, 2]], format="XYWH", canvas_size=(4, 6))
    target = {
        "boxes": boxes,
        "labels": [7],
        "mask": mask,
        "points": [[0.5, 1.5]],
        "label": 1,
        "image_id": "a",
    }
    made = [made for _, made in augmented((PIXELS[0], target), (PIXELS[0], mask), (PIXELS[0], boxes))]
    assert made[0]["boxes"].tolist() == [[3, 1, 5, 3]] == made[2].tolist()
    assert made[0]["labels"].tolist() == [7]
    assert torch.equal(made[0]["mask"], mask.flip(1))
    assert torch.equal(made[1], mask.flip(1))
    assert made[0]["points"].tolist() == [[5.5, 1.5]]
    assert (made[0]["label"], made[0]["image_id"]) == (1, "a")
    kept = [made for _, made in augmented((PIXELS[0], 1), (PIXELS[0], "a text"), (PIXELS[0], 0.5))]
    assert kept == [1, "a text", 0.5]
    # What nobody reads passes where nothing moves.
    still = Pipeline.read({"sample": ["invert", {"operation": "horizontal_flip", "probability": 0}]})
    assert augmented((PIXELS[0], [{"bbox": [0, 0, 1, 1]}]), pipeline=still)[0][1] == [{"bbox": [0, 0, 1, 1]}]


@pytest.mark.parametrize(
    "mask",
    [
        torch.eye(4, 6, dtype=torch.bool),
        np.eye(4, 6, dtype=bool),
        torch.eye(4, 6, dtype=torch.int64)[None],
        tv_tensors.Mask(torch.eye(4, 6, dtype=torch.bool)[None]),
    ],
    ids=["tensor", "array", "channel", "torchvision"],
)
def test_masks_of_bool_and_with_a_channel_move_and_stay_such(mask):
    (alone, within) = augmented((PIXELS[0], mask), (PIXELS[0], {"mask": mask}))
    expected = torch.as_tensor(mask).as_subclass(torch.Tensor).flip(-1)
    for made in (alone[1], within[1]["mask"]):
        assert made.dtype == expected.dtype
        assert torch.equal(made, expected)


def test_a_target_does_not_depend_on_what_is_known_of_others_in_its_batch():
    boxes = {"boxes": [[0.0, 0.0, 2.0, 2.0]], "labels": [1]}
    more = {**boxes, "objects": [5], "masks": PIXELS[1:] > 30}
    data = as_torch(Items((PIXELS[0], target) for target in (boxes, more, more)), FLIP)
    together = [target for _, target in data.__getitems__([0, 1, 2])]
    assert [sorted(target) for target in together] == [sorted(data[at][1]) for at in range(3)]
    assert sorted(together[0]) == ["boxes", "labels"]


def test_masks_of_objects_move_with_their_boxes_also_those_of_a_source(coco):
    own = np.zeros((1, 4, 6), dtype=np.uint8)
    own[0, 1:3, 1:3] = 1
    ((_, made),) = augmented((PIXELS[0], {"boxes": [[1.0, 1.0, 3.0, 3.0]], "masks": own, "labels": [4]}))
    assert torch.equal(made["masks"], torch.from_numpy(own[..., ::-1].copy()))
    assert made["boxes"].tolist() == [[3, 1, 5, 3]]

    source = open_source(coco.write())
    (image, target), (_, empty) = as_torch(source, FLIP).__getitems__([0, 1])
    sample = source[0]
    width = image.shape[2]
    left, top, right, bottom = sample.objects.boxes.T
    mirrored = np.stack([width - right, top, width - left, bottom], axis=1)
    # That of the first, whose pixels are known, is drawn around these.
    np.testing.assert_allclose(target["boxes"][1:], mirrored[1:], atol=1e-5)
    assert target["labels"].tolist() == sample.objects.labels.tolist()
    assert torch.equal(target["masks"], torch.from_numpy(sample.objects.masks).flip(2))
    assert target["owners"].tolist() == sample.objects.points.owners.tolist()
    assert [len(empty[name]) for name in ("boxes", "labels", "masks", "points")] == [0, 0, 0, 0]
    images, columns = collate([(image, target), (image, empty)])
    assert images.shape[0] == len(columns["boxes"]) == len(columns["masks"]) == 2


def test_collate_keeps_shares_boxes_and_masks():
    items = [
        (PIXELS[0], {"boxes": [[0.0, 0.0, 2.0, 2.0]] * count, "labels": [3] * count, "mask": PIXELS[1]})
        for count in (2, 0, 1)
    ]
    loader = DataLoader(as_torch(Items(items), FLIP), batch_size=3, collate_fn=collate)
    ((images, targets),) = loader
    assert images.shape == (3, 1, 4, 6)
    assert [boxes.tolist() for boxes in targets["boxes"]] == [[[4, 0, 6, 2]] * count for count in (2, 0, 1)]
    assert [labels.tolist() for labels in targets["labels"]] == [[3, 3], [], [3]]
    assert torch.equal(targets["mask"], FLIPPED[1].expand(3, 4, 6))
    mixing = Pipeline.read({"batch": ["mixup"]})
    pairs = Items((pixels, number) for number, pixels in enumerate(PIXELS))
    _, shares = collate(as_torch(pairs, mixing).__getitems__([0, 1]))
    assert shares.shape == (2, 2)
    torch.testing.assert_close(shares.sum(1), torch.ones(2))
    (again,) = as_stream(pairs, mixing, batch_size=2, shuffle=False)
    assert torch.equal(again[1], shares)


def test_a_batch_of_which_some_have_targets_is_refused():
    for items in ([(PIXELS[0], 1), (PIXELS[0], None)], [PIXELS[0], (PIXELS[0], 1)]):
        with pytest.raises(SourceError, match="1 of the batch's 2 images have a target"):
            collate(augmented(*items))


def test_mixing_needs_targets_that_can_be_mixed():
    mixing = Pipeline.read({"batch": ["mixup"]})
    with pytest.raises(SourceError, match="target of str"):
        augmented((PIXELS[0], "cat"), (PIXELS[1], "dog"), pipeline=mixing)
    with pytest.raises(SourceError, match="it has 1 image"):
        augmented((PIXELS[0], 0), pipeline=mixing)
    with pytest.raises(SourceError, match="class numbers of 0 to 1"):
        augmented((PIXELS[0], 0), (PIXELS[1], 2), pipeline=mixing)
    shares = torch.eye(2)
    made = augmented((PIXELS[0], shares[0]), (PIXELS[1], shares[1]), pipeline=mixing)
    torch.testing.assert_close(made[0][1].sum(), torch.tensor(1.0))


def test_grey_images_fit_those_of_colour_once_channels_are_said():
    colour = np.stack([PIXELS[0], PIXELS[1], PIXELS[0]], axis=-1)
    with pytest.raises(SourceError, match=r"\[1, 4, 6\] and \[3, 4, 6\].*'channels'"):
        collate(augmented(PIXELS[0], colour))
    mixing = Pipeline.read({"batch": ["mixup"]})
    with pytest.raises(SourceError, match=r"is grey, and its partner .*'channels'"):
        augmented(PIXELS[0], colour, pipeline=mixing)
    batch = collate(augmented(PIXELS[0], colour, channels=3))
    assert torch.equal(batch[0], FLIPPED[:1].expand(3, 4, 6))
    with pytest.raises(SourceError, match="has 3 channels and 1 are wanted"):
        augmented(colour, channels=1)


def test_ids_are_the_content_or_those_of_the_user(monkeypatch):
    noise = Pipeline.read({"sample": ["gaussian_noise"]})
    same = [PIXELS[0], PIXELS[0]]
    by_content = augmented(*same, pipeline=noise)
    assert torch.equal(*by_content)
    for ids in ([5, 6], ["a", "b"]):
        assert not torch.equal(*augmented(*same, pipeline=noise, ids=ids))
    with monkeypatch.context() as patch:
        patch.setattr(Items, "__getitem__", None)  # ids that are given need no pass over the images
        as_torch(Items(same), Pipeline.read({"batch": ["mixup"]}), ids=["a", "b"])
    named = as_torch(Items([(PIXELS[0], "a"), (PIXELS[0], "b")]), noise, ids=lambda item: item[1])
    assert torch.equal(named[0][0], augmented(PIXELS[0], pipeline=noise, ids=["a"])[0])
