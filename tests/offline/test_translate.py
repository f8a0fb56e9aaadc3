"""Translating a source into a data set: keys, labels, sizes, provenance, resumption."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from synth.artifacts import Store
from synth.cli import main
from synth.data import open_source
from synth.data.images import fit
from synth.errors import LabelError, SourceError, UsageError
from synth.offline import make_translation_plan, shards, translate_dataset, translate_shard
from synth.sampling import Sampler


@pytest.fixture(scope="module")
def sampler(tiny, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("translate") / "store")
    return Sampler(tiny.untrained(store), device="cpu", precision="32", warmup_seconds=0)


@pytest.fixture
def photos(tiny, tmp_path):
    """23 images of kind1 and kind0."""
    return open_source(tiny.source(tmp_path / "photos.npz", count=23))


def plan_of(sampler, source, **request):
    return make_translation_plan(
        sampler.card, source, **{"seed": 7, "shard_size": 5, "mode": "exact", **request}
    )


def files(folder):
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found["manifest.json"] = {**json.loads(found["manifest.json"]), "created": None}
    return found


def test_each_image_is_what_the_sampler_makes_of_its_original(sampler, photos, tmp_path):
    plan = plan_of(sampler, photos, format="npz", start=100, parameters={"strength": 2.0})
    manifest = translate_dataset(sampler, photos, plan, tmp_path / "out")
    assert (manifest.count, manifest.class_counts) == (23, [12, 11])
    images = torch.stack([torch.from_numpy(photos[i].image).permute(2, 0, 1) for i in range(23)])
    whole = sampler.translate(
        images, labels=photos.labels.tolist(), seed=7, start=100, mode="exact", strength=2.0
    )
    with np.load(tmp_path / "out" / "data.npz") as made:
        assert np.array_equal(made["images"], whole.numpy())
        assert made["index"].tolist() == list(range(100, 123))
        assert made["labels"].tolist() == photos.labels.tolist()
        assert made["sources"].tolist() == list(photos.ids)


@pytest.mark.parametrize("form", ["imagefolder", "webdataset", "npz"])
def test_a_resumed_translation_equals_an_uninterrupted_one(sampler, photos, tmp_path, form):
    plan = plan_of(sampler, photos, format=form)

    def interrupt(done, total):
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(Exception, match="10 of 23 images are kept"):
        translate_dataset(sampler, photos, plan, tmp_path / "one", progress=interrupt)
    calls = []
    translate_dataset(
        sampler, photos, plan, tmp_path / "one", resume=True, progress=lambda *call: calls.append(call)
    )
    assert calls == [(10, 23), (15, 23), (20, 23), (23, 23)]
    translate_dataset(sampler, photos, plan, tmp_path / "other")
    assert files(tmp_path / "one") == files(tmp_path / "other")


def test_a_shard_is_a_function_of_the_plan_and_its_number(sampler, photos):
    plan = plan_of(sampler, photos)
    work = list(shards(plan))
    whole = translate_shard(
        sampler,
        photos,
        plan_of(sampler, photos, shard_size=23),
        next(shards(plan_of(sampler, photos, shard_size=23))),
    )[0]
    for shard in reversed(work):
        (part,) = translate_shard(sampler, photos, plan, shard)
        assert torch.equal(part.images, whole.images[shard.start : shard.start + shard.count])
        assert list(part.sources) == list(photos.ids)[shard.start : shard.start + shard.count]


def test_the_original_is_recorded_beside_every_image(sampler, photos, tmp_path):
    translate_dataset(sampler, photos, plan_of(sampler, photos), tmp_path / "folder")
    lines = [json.loads(line) for line in (tmp_path / "folder" / "metadata.jsonl").read_text().splitlines()]
    assert [line["source_id"] for line in lines] == list(photos.ids)
    with Image.open(tmp_path / "folder" / lines[3]["file_name"]) as picture:
        assert picture.text["synth:source"] == photos.ids[3]
        assert "synth translate toys@1 --data SOURCE --seed 7 --start 3 " in picture.text["Comment"]
    translate_dataset(sampler, photos, plan_of(sampler, photos, format="webdataset"), tmp_path / "tars")
    with tarfile.open(tmp_path / "tars" / "000000.tar") as tar:
        records = [json.load(tar.extractfile(name)) for name in tar.getnames() if name.endswith(".json")]
    assert [record["source_id"] for record in records] == list(photos.ids[:5])


def folder_of(path, names, size=(8, 8), mode="L"):
    for number, name in enumerate(names):
        file = path / name / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*size, *([3] if mode == "RGB" else [])), 9 * number + 5, np.uint8)).save(
            file
        )
    return path


def test_classes_are_matched_by_name_and_not_by_number(sampler, tmp_path):
    source = open_source(folder_of(tmp_path / "s", ["kind1", "kind1"]).parent / "s")
    assert source.labels is None  # a single class is none
    both = open_source(folder_of(tmp_path / "b", ["kind1", "kind0", "kind1"]))
    assert plan_of(sampler, both).labels == (0, 1, 1)


def test_classes_that_the_model_does_not_have_are_named(sampler, tmp_path):
    source = open_source(folder_of(tmp_path / "s", ["kind1", "kinds0"]))
    with pytest.raises(LabelError, match=r"no class 'kinds0' \(did you mean 'kind0'\?\).*--labels"):
        plan_of(sampler, source)
    assert plan_of(sampler, source, labels="kind1").labels == "kind1"


def test_a_source_without_labels_needs_some_where_the_model_has_classes(sampler, tmp_path):
    source = open_source(folder_of(tmp_path / "s", [".", "."]))
    with pytest.raises(LabelError, match=r"has no labels\. Say with --labels"):
        plan_of(sampler, source)
    manifest = translate_dataset(
        sampler, source, plan_of(sampler, source, labels="kind1=1,kind0=1"), tmp_path / "out"
    )
    assert manifest.class_counts == [1, 1]


def test_images_of_another_size_are_refused_unless_they_are_to_be_resized(sampler, tmp_path):
    source = open_source(folder_of(tmp_path / "s", ["kind0", "kind1"], size=(16, 20), mode="RGB"))
    with pytest.raises(SourceError, match=r"kind0/0.png of .* is 16 x 20 .*takes 8 x 8.*--fit resize"):
        plan_of(sampler, source)
    plan = plan_of(sampler, source, fit="resize", format="npz")
    translate_dataset(sampler, source, plan, tmp_path / "out")
    resized = np.stack([fit(source[i].image, (8, 8), 1) for i in range(2)])
    expected = sampler.translate(resized, labels=[0, 1], seed=7, mode="exact")
    with np.load(tmp_path / "out" / "data.npz") as made:
        assert np.array_equal(made["images"], expected.numpy())
    with pytest.raises(UsageError, match="no fit 'crop'"):
        plan_of(sampler, source, fit="crop")


def test_an_image_that_changes_in_the_meantime_stops_the_work(sampler, tmp_path):
    source = open_source(folder_of(tmp_path / "s", ["kind0", "kind1"]))
    plan = plan_of(sampler, source)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "s" / "kind1" / "1.png")
    with pytest.raises(SourceError, match=r"kind1/1.png of .* has changed"):
        translate_dataset(sampler, source, plan, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_source_is_another_plan(sampler, photos, tiny, tmp_path):
    other = open_source(tiny.source(tmp_path / "more.npz", count=23, seed=1))
    one, two = (plan_of(sampler, source, name="same").as_dict() for source in (photos, other))
    assert one["source_digest"] != two["source_digest"]
    assert json.loads(json.dumps(one)) == one
    assert one["labels"] == "source"


def test_labels_of_the_source_outlive_a_model_without_classes(tiny, photos, tmp_path):
    plain = tiny.fit(tiny.source(tmp_path / "plain.npz", classes=0), name="plain")
    sampler = Sampler(plain, device="cpu", precision="32", warmup_seconds=0)
    manifest = translate_dataset(sampler, photos, plan_of(sampler, photos), tmp_path / "out")
    assert (manifest.classes, manifest.class_counts) == (["kind0", "kind1"], [12, 11])


def test_the_command_translates_a_folder(tiny, tmp_path, capsys, monkeypatch):
    tiny.untrained(Store())
    source = folder_of(tmp_path / "s", ["kind0", "kind1", "kind1"])
    words = ["translate", "toys", "--data", str(source), "--out", str(tmp_path / "out"), "--seed", "4"]
    words += ["--strength", "0.5", "--device", "cpu", "--precision", "32"]
    assert main([*words, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["count"], shown["class_counts"]) == (3, [1, 2])
    assert shown["plan"]["parameters"] == {"strength": 0.5}
    assert main(words) == 2
    assert "finished data set" in capsys.readouterr().err
    assert main([*words, "--resume"]) == 0
    assert "nothing was translated" in capsys.readouterr().err
    for extra, says in [
        (["--set", "strength=1"], "not both"),
        (["--strength", "11"], "from 0 to 10"),
        (["--labels", "kind7", "--strength", "1"], "no class 'kind7'"),
        (["--resume", "--overwrite"], "not both"),
    ]:
        assert main([*words[:5], str(tmp_path / "new"), *words[6:], *extra]) == 2
        assert says in capsys.readouterr().err
        assert not (tmp_path / "new").exists()
    assert main([*words, "--data", str(tmp_path / "nowhere")]) == 2
    assert "There is no folder" in capsys.readouterr().err


def test_noise_depends_on_the_place_in_the_source_and_not_on_shards(sampler, photos, tmp_path):
    names = {}
    for size in (4, 23):
        out = tmp_path / str(size)
        translate_dataset(sampler, photos, plan_of(sampler, photos, shard_size=size), out)
        names[size] = {name: data for name, data in files(out).items() if name.endswith(".png")}
    assert names[4] == names[23]
    assert Image.open(io.BytesIO(next(iter(names[4].values())))).size == (8, 8)
