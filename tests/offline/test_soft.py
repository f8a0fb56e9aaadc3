"""Mixed data sets on disk: shares of classes are written, read back, and taken or refused by what follows."""

from __future__ import annotations

import json
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from synth.augment import Partners, Pipeline, Samples
from synth.cli import main
from synth.data import load_images, open_source
from synth.data.soft import shares_of
from synth.data.writers import read_manifest
from synth.errors import InterruptedRunError, SourceError, UnreadableError
from synth.integrations.torch import as_torch
from synth.offline.augment import augment_dataset, make_augmentation_plan

SPEC = {"sample": ["horizontal_flip"], "batch": [{"operation": "cutmix", "probability": 0.7}, "mosaic"]}
COUNT = 12


@pytest.fixture
def source(tiny, tmp_path):
    return open_source(tiny.source(tmp_path / "toys.npz", count=COUNT, classes=3))


def made(source, out, form="imagefolder", **options):
    pipeline = Pipeline.read(options.pop("spec", SPEC), seed=3)
    plan = make_augmentation_plan(pipeline, source, copies=2, format=form, **options)
    augment_dataset(source, plan, out)
    return out


def expected(source):
    """The images uint8 [N, C, H, W] and shares of both copies, as a training loop gets them."""
    dataset, items = as_torch(source, Pipeline.read(SPEC, seed=3)), []
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        items += [dataset[at] for at in range(COUNT)]
    return torch.stack([image for image, _ in items]), torch.stack([shares for _, shares in items])


@pytest.mark.parametrize("form", ["imagefolder", "npz"])
def test_a_mixed_data_set_is_read_back_as_training_sees_it(source, tmp_path, form):
    out = made(source, tmp_path / "out", form, shard_size=5)
    images, shares = expected(source)
    again = open_source(out)
    assert again.info.classes == source.info.classes
    assert torch.equal(torch.from_numpy(shares_of(again)), shares)
    for at in (0, 5, 23):
        sample = again[at]
        assert sample.label is None
        assert torch.equal(torch.from_numpy(sample.shares), shares[at])
        assert torch.equal(torch.from_numpy(sample.image).permute(2, 0, 1), images[at])
    manifest = read_manifest(out)
    assert (manifest.class_counts, manifest.classes) == (None, list(source.info.classes))
    dataset = as_torch(again, Pipeline.read({"sample": ["invert"]}))
    assert torch.equal(dataset[5][0], 255 - images[5])
    assert torch.equal(dataset[5][1], shares[5])


def test_webdataset_holds_shares_and_no_class(source, tmp_path):
    out = made(source, tmp_path / "out", "webdataset")
    _, shares = expected(source)
    with tarfile.open(out / "000000.tar") as archive:
        names = archive.getnames()
        assert not any(name.endswith(".cls") for name in names)
        record = json.load(archive.extractfile(f"{7:012d}.json"))
    assert record["label"] is None
    assert torch.equal(torch.tensor(record["shares"]), shares[7])


def test_soft_sets_can_be_augmented_and_mixed_once_more(source, tmp_path):
    first = made(source, tmp_path / "first")
    shares = shares_of(open_source(first))
    plain = open_source(made(open_source(first), tmp_path / "plain", spec={"sample": ["invert"]}))
    assert np.array_equal(shares_of(plain), np.concatenate([shares, shares]))
    mixed = shares_of(open_source(made(open_source(first), tmp_path / "mixed")))
    assert mixed.shape == (4 * COUNT, 3)
    assert np.allclose(mixed.sum(1), 1, atol=1e-5)
    assert not np.array_equal(mixed[: 2 * COUNT], shares)


def test_a_mixed_run_that_was_stopped_goes_on(source, tmp_path):
    plan = make_augmentation_plan(Pipeline.read(SPEC, seed=3), source, copies=2, shard_size=5)

    def stop(done, count):
        raise KeyboardInterrupt

    with pytest.raises((InterruptedRunError, KeyboardInterrupt)):
        augment_dataset(source, plan, tmp_path / "out", progress=stop)
    augment_dataset(source, plan, tmp_path / "out", resume=True)
    assert torch.equal(torch.from_numpy(shares_of(open_source(tmp_path / "out"))), expected(source)[1])


def test_what_needs_one_class_for_each_image_refuses_shares(source, tmp_path, capsys):
    out = made(source, tmp_path / "out")
    with pytest.raises(SourceError, match="shares of several classes"):
        load_images(open_source(out))
    assert main(["split", str(out), "--out", str(tmp_path / "parts")]) == 1
    assert "shares of several classes" in " ".join(capsys.readouterr().err.split())


def rewritten(change):
    def spoil(folder):
        path = folder / "metadata.jsonl"
        records = [json.loads(line) for line in path.read_text().splitlines()]
        change(records)
        path.write_text("".join(json.dumps(record) + "\n" for record in records))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (rewritten(lambda records: records[3].pop("shares")), "line 4 has none"),
        (rewritten(lambda records: records[3].update(shares=[1.0])), "one for each class"),
        (
            rewritten(lambda records: [record.update(shares=[0.5, 0.5]) for record in records]),
            "3 classes are",
        ),
        (rewritten(lambda records: records[2].update(shares=[0.5, 0.5, 0.5])), "of image 3 .* the sum 1"),
        (rewritten(lambda records: records[2].update(shares=[2.0, -1.0, 0.0])), "of image 3 .* from 0"),
        (rewritten(lambda records: records[2].update(shares=["a", 0, 0])), "one for each class"),
        (lambda folder: (folder / "metadata.jsonl").write_text("{\n"), "line 1: this is no JSON"),
        (lambda folder: (folder / "manifest.json").unlink(), "Restore that file"),
    ],
)
def test_damaged_shares_are_refused_by_place(source, tmp_path, spoil, message):
    out = made(source, tmp_path / "out")
    spoil(out)
    with pytest.raises(SourceError, match=message):
        open_source(out)


def test_a_missing_image_and_bad_arrays_are_told(source, tmp_path):
    out = made(source, tmp_path / "out")
    (out / "images" / f"{4:012d}.png").unlink()
    with pytest.raises(UnreadableError, match=r"000000000004\.png"):
        _ = open_source(out).ids
    images = np.zeros((2, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "bad.npz", images=images, labels=np.array([[0.5, 0.6], [1, 0]]))
    with pytest.raises(SourceError, match=r"image 1 \(0.5, 0.6\)"):
        open_source(tmp_path / "bad.npz")
    np.savez(tmp_path / "few.npz", images=images, labels=np.array([[0.5, 0.5]]))
    with pytest.raises(SourceError, match=r"are \[2, 2\], not \[1, 2\]"):
        open_source(tmp_path / "few.npz")


def test_images_of_several_shapes_are_mixed_once_they_have_one(tmp_path):
    for number, size in enumerate([(8, 8), (8, 12), (10, 8)]):
        (tmp_path / "photos" / f"c{number}").mkdir(parents=True)
        picture = np.full((*size, 3), 80 * number, dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / "photos" / f"c{number}" / "a.png")
    source = open_source(tmp_path / "photos")
    with pytest.raises(SourceError, match=r"have 3 \(channels x height x width\): 1 x 8 x 8.*resized_crop"):
        make_augmentation_plan(Pipeline.read(SPEC), source)
    sized = {"sample": [{"operation": "resized_crop", "size": [8, 8]}], "batch": ["mosaic"]}
    again = open_source(made(source, tmp_path / "out", spec=sized))
    assert shares_of(again).shape == (6, 3)


def test_partners_are_those_of_the_pipeline(source, tmp_path):
    pipeline = Pipeline.read({"batch": ["mixup"]}, seed=9)
    plan = make_augmentation_plan(pipeline, source)
    augment_dataset(source, plan, tmp_path / "out")
    whole = load_images(source)
    samples = Samples(whole.images, whole.ids, whole.labels)
    partners = Partners(whole.ids, lambda at: samples.part(slice(at, at + 1)), 3)
    again = open_source(tmp_path / "out")
    assert np.array_equal(again[4].image[..., 0], pipeline.run(samples, 0, partners).images[4, 0].numpy())
