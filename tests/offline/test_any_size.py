"""Translating folders of images of any size, with labels that may drift, in the style of pictures."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from synth.artifacts import Store
from synth.batch import PICTURES
from synth.cli import main
from synth.data import open_source
from synth.errors import InterruptedRunError, SourceError, UsageError
from synth.offline import make_translation_plan, shards, translate_dataset, translate_shard
from synth.pixels import content_id
from synth.sampling import Sampler
from tests import translators

SIZES = [(20, 30), (20, 30), (33, 17), (16, 16), (33, 17), (9, 40), (8, 8)]
GOOD = {"label_preservation": 0.97, "label_preservation_b_to_a": 0.5}


@pytest.fixture(autouse=True)
def _family():
    with translators.known():
        yield


@pytest.fixture
def store():
    return Store()


def sampler_of(store, **options) -> Sampler:
    artifact = translators.publish(store, **{"metrics": GOOD, **options})
    return Sampler(artifact, device="cpu", precision="32", warmup_seconds=0)


@pytest.fixture
def sampler(store) -> Sampler:
    return sampler_of(store)


@pytest.fixture
def photos(tmp_path):
    """A folder of two classes, grey and colour, of five sizes."""
    random = np.random.default_rng(0)
    for number, size in enumerate(SIZES):
        file = tmp_path / "photos" / f"kind{number % 2}" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        shape = size if number == 3 else (*size, 3)
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(file)
    return tmp_path / "photos"


def plan_of(sampler, source, **request):
    options = {"seed": 7, "shard_size": 3, "mode": "exact", "any_size": sampler.any_size, **request}
    return make_translation_plan(sampler.card, source, **options)


def pictures(folder):
    """Pixels by index, of an imagefolder or of tars."""
    found = {}
    for path in folder.rglob("*.png"):
        found[int(path.stem)] = np.array(Image.open(path))
    for path in folder.rglob("*.tar"):
        with tarfile.open(path) as tar:
            for name in tar.getnames():
                if name.endswith(".png"):
                    found[int(name[:-4])] = np.array(Image.open(io.BytesIO(tar.extractfile(name).read())))
    return found


@pytest.mark.parametrize("form", ["imagefolder", "webdataset"])
def test_every_image_keeps_its_size_and_is_what_the_sampler_makes_of_it(sampler, photos, tmp_path, form):
    source = open_source(str(photos))
    plan = plan_of(sampler, source, format=form, start=50)
    manifest = translate_dataset(sampler, source, plan, tmp_path / "out")
    assert (manifest.count, manifest.plan["sizes"], manifest.class_counts) == (7, "own", [4, 3])
    made = pictures(tmp_path / "out")
    for number in range(len(source)):
        image = np.broadcast_to(source[number].image, (*source[number].image.shape[:2], 3))
        alone = sampler.translate(image[None].copy(), seed=7, start=50 + number, mode="exact")
        assert np.array_equal(made[50 + number], alone.numpy()[0])
    assert len(made) == 7


def test_a_resumed_data_set_of_many_sizes_equals_an_uninterrupted_one(sampler, photos, tmp_path):
    source = open_source(str(photos))
    plan = plan_of(sampler, source)

    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match="3 of 7 images are kept"):
        translate_dataset(sampler, source, plan, tmp_path / "one", progress=interrupt)
    translate_dataset(sampler, source, plan, tmp_path / "one", resume=True)
    translate_dataset(sampler, source, plan, tmp_path / "two")
    one, two = (
        {
            str(path.relative_to(tmp_path / name)): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file() and path.name != "manifest.json"
        }
        for name in ("one", "two")
    )
    assert one == two


def test_an_array_holds_images_of_one_size(sampler, photos, tmp_path):
    source = open_source(str(photos))
    with pytest.raises(
        UsageError, match=r"have 5 sizes, and the format npz holds images of one\. .*--fit resize"
    ):
        plan_of(sampler, source, format="npz")
    plan = plan_of(sampler, source, format="npz", fit="resize")
    translate_dataset(sampler, source, plan, tmp_path / "out")
    with np.load(tmp_path / "out" / "data.npz") as made:
        assert made["images"].shape == (7, 16, 16, 3)


def test_images_smaller_than_any_network_takes_and_sources_of_none_are_refused(sampler, tmp_path):
    (tmp_path / "s").mkdir()
    with pytest.raises(SourceError, match="There are no images in"):
        plan_of(sampler, open_source(str(tmp_path / "s")))
    np.savez(tmp_path / "none.npz", images=np.zeros((0, 8, 8, 3), np.uint8))
    with pytest.raises(SourceError):
        plan_of(sampler, open_source(str(tmp_path / "none.npz")))
    Image.new("RGB", (7, 30)).save(tmp_path / "s" / "thin.png")
    with pytest.raises(
        SourceError, match=r"thin\.png of .* is 30 x 7 .* takes images from 8 pixels a side on"
    ):
        plan_of(sampler, open_source(str(tmp_path / "s")))


def test_large_images_make_small_shards(sampler, photos, monkeypatch):
    monkeypatch.setattr("synth.offline.objects.SHARD_BYTES", 2 * 3 * 33 * 40)
    plan = plan_of(sampler, open_source(str(photos)), shard_size=1_000)
    assert plan.shard_size == 2 * 33 * 40 // (20 * 30)
    assert (
        sum(len(translate_shard(sampler, open_source(str(photos)), plan, one)) for one in shards(plan)) >= 5
    )


class TestLabels:
    def test_labels_are_kept_where_the_model_was_found_to_preserve_them(self, sampler, photos):
        assert "label_drift" not in plan_of(sampler, open_source(str(photos))).as_dict()

    @pytest.mark.parametrize(
        ("metrics", "request_", "says"),
        [
            ({}, {}, "its label_preservation was never measured"),
            ({"label_preservation": 0.949}, {}, r"its label_preservation is 94\.9%"),
            (GOOD, {"parameters": {"direction": "b_to_a"}}, r"its label_preservation_b_to_a is 50\.0%"),
        ],
    )
    def test_otherwise_they_are_refused_or_the_data_set_says_so(
        self, store, photos, tmp_path, metrics, request_, says
    ):
        sampler = sampler_of(store, metrics=metrics)
        source = open_source(str(photos))
        with pytest.raises(UsageError, match=says + r".*from 95%.*--allow-label-drift"):
            plan_of(sampler, source, **request_)
        plan = plan_of(sampler, source, allow_label_drift=True, **request_)
        manifest = translate_dataset(sampler, source, plan, tmp_path / "out")
        drift = manifest.plan["label_drift"]
        assert (drift["threshold"], drift["value"]) == (0.95, metrics.get(drift["figure"]))

    def test_images_without_labels_need_no_promise(self, store, tmp_path):
        sampler = sampler_of(store, metrics={})
        (tmp_path / "flat").mkdir()
        Image.new("RGB", (20, 20)).save(tmp_path / "flat" / "one.png")
        assert plan_of(sampler, open_source(str(tmp_path / "flat"))).drift is None

    def test_a_generator_that_takes_labels_makes_what_they_say(self, tiny, tmp_path):
        toys = Sampler(tiny.untrained(Store(tmp_path / "store")), device="cpu", warmup_seconds=0)
        source = open_source(tiny.source(tmp_path / "toys.npz"))
        assert plan_of(toys, source).drift is None


def test_pictures_are_recorded_by_their_content_and_make_what_the_sampler_makes(sampler, photos, tmp_path):
    picture = np.full((5, 6, 3), (10, 200, 30), np.uint8)
    source = open_source(str(photos))
    plan = plan_of(sampler, source, parameters={"style": [picture], "strength": 0.5})
    assert plan.as_dict()["parameters"] == {"style": PICTURES + content_id(picture), "strength": 0.5}
    json.dumps(plan.as_dict())
    translate_dataset(sampler, source, plan, tmp_path / "out")
    first = torch.from_numpy(source[0].image.copy()).permute(2, 0, 1)[None]
    expected = sampler.translate(first, seed=7, mode="exact", style=picture, strength=0.5)
    assert np.array_equal(pictures(tmp_path / "out")[0], expected.numpy()[0])
    lines = [json.loads(line) for line in (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()]
    assert lines[0]["parameters"]["style"] == PICTURES + content_id(picture)
    with Image.open(tmp_path / "out" / lines[0]["file_name"]) as image:
        assert "--style STYLE" in image.text["Comment"]


class TestCommand:
    def run(self, photos, out, *more):
        words = ["translate", "tint", "--data", str(photos), "--out", str(out), "--device", "cpu"]
        return main([*words, "--precision", "32", "--json", *more])

    def test_a_folder_of_mixed_sizes_needs_no_option(self, store, photos, tmp_path, capsys):
        sampler_of(store)
        assert self.run(photos, tmp_path / "out", "--set", "strength=0") == 0
        assert json.loads(capsys.readouterr().out)["plan"]["sizes"] == "own"
        sizes = [one.shape[:2] for _, one in sorted(pictures(tmp_path / "out").items())]
        assert sizes == [(20, 30), (33, 17), (33, 17), (8, 8), (20, 30), (16, 16), (9, 40)]

    def test_labels_that_may_drift_are_an_error_or_a_choice(self, store, photos, tmp_path, capsys):
        sampler_of(store, metrics={})
        assert self.run(photos, tmp_path / "out") == 2
        assert "--allow-label-drift" in capsys.readouterr().err
        assert self.run(photos, tmp_path / "out", "--allow-label-drift") == 0
        assert json.loads(capsys.readouterr().out)["plan"]["label_drift"]["value"] is None

    def test_styles_are_files(self, store, photos, tmp_path, capsys):
        sampler_of(store)
        Image.new("RGB", (9, 9), (200, 0, 0)).save(tmp_path / "red.png")
        (tmp_path / "text.png").write_text("no picture")
        red = str(tmp_path / "red.png")
        assert self.run(photos, tmp_path / "out", "--style", red, "--style", red) == 0
        assert json.loads(capsys.readouterr().out)["plan"]["parameters"]["style"].count(",") == 1
        for words, says in [
            (["--style", str(tmp_path / "text.png")], "text.png is not an image"),
            (["--style", str(tmp_path / "none.png")], "There is no picture"),
            (["--set", "style=photo.png"], "style takes pictures: --style FILE"),
            (["--style", red] * 4, "style takes 1 to 3 pictures; 4 were given"),
        ]:
            assert self.run(photos, tmp_path / "more", *words) != 0
            assert says in capsys.readouterr().err
        assert not (tmp_path / "more").exists()
