"""Mixing: partners by key, exact shares, soft labels, and records that replay."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from synth.augment import Boxes, Partners, Pipeline, Samples, read_specification
from synth.cli import main
from synth.data import open_source
from synth.errors import ConfigError, SourceError, UsageError
from synth.integrations.torch import as_torch, as_transform

SPEC = {
    "sample": ["horizontal_flip", "gaussian_noise"],
    "batch": [{"operation": "mixup", "probability": 0.6}, {"operation": "cutmix", "probability": 0.6}],
}
CUTMIX = {"batch": ["cutmix"]}


def whole(count=16, **more):
    """Each image, and its mask, has one value of its own."""
    values = torch.arange(count, dtype=torch.uint8) * 10
    images = values[:, None, None, None].expand(count, 1, 9, 13).contiguous()
    return Samples(images, tuple(f"s{row}" for row in range(count)), torch.arange(count) % 4, **more)


def partners_of(samples, classes=4):
    return Partners(samples.ids, lambda at: samples.part(slice(at, at + 1)), classes)


@pytest.mark.parametrize("spec", [SPEC, CUTMIX, {"batch": ["mixup"]}])
def test_a_batch_its_samples_one_by_one_in_any_order_and_its_record_are_equal(spec):
    pipeline, samples = Pipeline.read(spec, seed=2), whole()
    partners = partners_of(samples)
    made = pipeline.run(samples, 3, partners)
    for row in (11, 0, 5):
        single = pipeline.run(samples.part(slice(row, row + 1)), 3, partners)
        assert torch.equal(single.images[0], made.images[row])
        assert torch.equal(single.labels[0], made.labels[row])
    record = json.loads(json.dumps(pipeline.record(samples, 3, partners)))
    again = Pipeline.read(spec, seed=99).replay(samples, record, partners)
    assert torch.equal(again.images, made.images)
    assert torch.equal(again.labels, made.labels)
    assert made.labels.dtype == torch.float32
    assert made.labels.shape == (16, 4)
    torch.testing.assert_close(made.labels.sum(1), torch.ones(16))
    assert not torch.equal(pipeline.run(samples, 4, partners).images, made.images)


def test_shares_of_cutmix_are_the_area_pasted_and_masks_follow_the_pixels():
    masks = whole().images[:, 0].long()
    samples = whole(masks=masks)
    samples = replace(samples, labels=torch.arange(16))
    partners = partners_of(samples, classes=16)
    pipeline = Pipeline.read(CUTMIX, seed=1)
    made = pipeline.run(samples, partners=partners)
    assert torch.equal(made.masks, made.images[:, 0].long())
    cut = 0
    for row, (entry,) in enumerate(pipeline.record(samples, partners=partners)):
        partner = entry["partner"]
        left, top, right, bottom = entry["parameters"]["box"]
        assert partner != row
        pasted = int((made.masks[row] == 10 * partner).sum())
        assert pasted == (right - left) * (bottom - top)
        assert made.labels[row, partner].item() == pytest.approx(pasted / (9 * 13), abs=1e-6)
        assert made.labels[row, row].item() == pytest.approx(1 - pasted / (9 * 13), abs=1e-6)
        cut += 0 < pasted < 9 * 13
    assert cut > 8


@pytest.mark.parametrize("step", ["mosaic", {"operation": "cutmix", "probability": 0.5}])
def test_classes_above_255_stay_what_they_are_beside_masks_of_bytes(step):
    samples = whole(masks=torch.arange(16, dtype=torch.uint8)[:, None, None].expand(16, 9, 13))
    wide = replace(samples, masks=samples.masks.int() + 1000)
    partners = Partners(wide.ids, lambda at: wide.part(slice(at, at + 1)), 4)
    made = Pipeline.read({"batch": [step]}, seed=1).run(samples, partners=partners)
    # A pixel of image k has the value 10 k.
    assert set((made.masks - made.images[:, 0] // 10).unique().tolist()) == {0, 1000}


def test_mixup_is_the_weighted_mean_and_its_weight_is_the_label():
    samples = replace(whole(), labels=torch.arange(16))
    spec = {"batch": [{"operation": "mixup", "weight": 0.75}]}
    partners = partners_of(samples, classes=16)
    pipeline = Pipeline.read(spec)
    made = pipeline.run(samples, partners=partners)
    places = torch.tensor([entry["partner"] for (entry,) in pipeline.record(samples, partners=partners)])
    mean = (0.75 * samples.images.double() + 0.25 * samples.images[places].double()).round()
    assert torch.equal(made.images.double(), mean)
    assert made.labels[3, 3] == 0.75
    assert made.labels[3, places[3]] == 0.25


def test_partners_come_from_the_whole_data_set():
    samples = whole()
    pipeline = Pipeline.read(CUTMIX)
    seen = {
        entry["partner"]
        for epoch in range(16)
        for (entry,) in pipeline.record(samples.part(slice(0, 1)), epoch, partners_of(samples))
    }
    assert len(seen) > 6
    assert 0 not in seen
    # Nor are copies of it, which have its id.
    ids = tuple("s0" if place < 12 else name for place, name in enumerate(samples.ids))
    partners = replace(partners_of(samples), ids=ids)
    chosen = {
        entry["partner"]
        for epoch in range(16)
        for (entry,) in pipeline.record(samples.part(slice(0, 1)), epoch, partners)
    }
    assert min(chosen) == 12


def test_samples_that_are_not_mixed_have_soft_labels_too():
    samples = whole()
    made = Pipeline.read({"batch": [{"operation": "mixup", "probability": 0}]}).run(
        samples, partners=partners_of(samples)
    )
    assert torch.equal(made.images, samples.images)
    assert made.labels.tolist() == torch.eye(4)[samples.labels].tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_batches_and_order_change_no_sample(tiny, tmp_path, workers):
    source = open_source(tiny.source(tmp_path / "toys.npz", count=24))
    pipeline = Pipeline.read(SPEC, seed=4)
    expected = as_torch(source, pipeline)
    expected.set_epoch(2)
    dataset = as_torch(source, pipeline)
    dataset.set_epoch(2)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(workers)).tolist()
    loader = DataLoader(dataset, batch_size=5 + workers, sampler=order, num_workers=workers)
    images, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
    for place, position in enumerate(order):
        image, shares = expected[position]
        assert torch.equal(images[place], image)
        assert torch.equal(labels[place], shares)
    assert labels.shape == (24, len(source.info.classes))
    assert bool((labels.max(1).values < 0.99).any())
    torch.testing.assert_close(labels.sum(1), torch.ones(24))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"sample": ["mixup"]}, "list it under 'batch'"),
        ({"sample": [{"one_of": ["blur", "cutmix"]}]}, "list it under 'batch'"),
        ({"batch": ["blur"]}, "blur belongs under 'sample'"),
        ({"batch": [{"one_of": ["mixup", "cutmix"]}]}, "belongs under 'sample'"),
        ({"batch": [{"operation": "mixup", "weight": 1.5}]}, r"must lie in \[0, 1\]"),
        ({"batch": [{"operation": "cutmix", "area": -0.1}]}, r"must lie in \[0, 1\]"),
        ({"batch": [{"operation": "mixup", "weight": {"beta": [0, 1]}}]}, "positive"),
        ({"batch": ["cutmx"]}, "did you mean 'cutmix'"),
        ({"batch": ["mixup", "mixup"]}, "the id 'mixup'"),
        ({"sample": ["blur"], "batch": "mixup"}, "list at least one"),
    ],
)
def test_a_bad_specification_is_refused_with_a_hint(spec, message):
    with pytest.raises(ConfigError, match=message):
        read_specification(spec)


def test_the_plain_form_reads_as_itself_and_names_no_empty_stage():
    spec = read_specification(SPEC)
    assert read_specification(spec.plain()) == spec
    assert "batch" not in read_specification("basic").plain()


def test_samples_that_cannot_be_mixed_are_refused():
    pipeline, samples = Pipeline.read(SPEC), whole()
    row = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(SourceError, match="it has 1 image"):
        pipeline.run(samples, partners=partners_of(whole(count=1)))
    with pytest.raises(UsageError, match="no data set here to take partners from"):
        pipeline.run(samples)
    with pytest.raises(SourceError, match="mixup would leave the masks of samples wrong"):
        pipeline.run(whole(masks=whole().images[:, 0].long()), partners=partners_of(samples))
    boxes = Boxes(torch.tensor([[0.0, 0, 4, 4]]), row)
    with pytest.raises(SourceError, match="have boxes"):
        Pipeline.read(CUTMIX).run(whole(boxes=boxes), partners=partners_of(samples))
    for shares in ([0.5, 0.6, 0, 0], [1.5, -0.5, 0, 0], [float("nan"), 1, 0, 0]):
        unfit = replace(samples, labels=torch.tensor([shares] * len(samples)))
        with pytest.raises(SourceError, match="1 in all for each sample"):
            pipeline.run(unfit, partners=partners_of(samples))
    with pytest.raises(SourceError, match="class numbers of 0 to 2"):
        pipeline.run(samples, partners=partners_of(samples, classes=3))
    with pytest.raises(SourceError, match="partners too"):
        pipeline.run(samples, partners=partners_of(replace(samples, labels=None)))
    smaller = replace(samples, images=samples.images[..., :5])
    with pytest.raises(SourceError, match="one shape"):
        pipeline.run(samples, partners=partners_of(smaller))


def test_a_record_of_other_partners_is_refused():
    pipeline, samples = Pipeline.read(CUTMIX), whole()
    record = pipeline.record(samples, partners=partners_of(samples))
    with pytest.raises(UsageError, match="not in this data set"):
        pipeline.replay(samples, record, partners_of(whole(count=2)))
    for change, message in (
        ({"parameters": {}}, r"sample 0: cutmix has the parameters \['box'\], not \[\]"),
        ({"parameters": {"box": [0, 0, 99, 4]}}, "box lies outside"),
        ({"partner": 1.5}, "not in this data set"),
        ({"partner_plan": None}, "no list of operations"),
    ):
        broken = [[{**record[0][0], **change}], *record[1:]]
        with pytest.raises(UsageError, match=message):
            pipeline.replay(samples, broken, partners_of(samples))


def test_ways_without_partners_or_soft_labels_refuse(tmp_path, capsys):
    with pytest.raises(UsageError, match="no data set to take partners from"):
        as_transform(Pipeline.read(CUTMIX))
    (tmp_path / "one").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(tmp_path / "one" / "a.png")
    with pytest.raises(SourceError, match="it has 1 image"):
        as_torch(open_source(str(tmp_path / "one")), Pipeline.read(CUTMIX))
    (tmp_path / "cutmix.json").write_text(json.dumps(CUTMIX))
    command = ["augment", str(tmp_path / "cutmix.json"), "--data", str(tmp_path / "one")]
    assert main([*command, "--out", str(tmp_path / "out")]) == 1
    assert "it has 1 image" in " ".join(capsys.readouterr().err.split())
