"""Keys and specifications: what decides a sample, and what is refused."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from synth.augment import Boxes, Pipeline, Points, Samples, read_specification
from synth.augment.search import searchable, with_chosen
from synth.augment.text import read_text
from synth.errors import ConfigError, SourceError, UsageError

NOISE = {"operation": "gaussian_noise", "std": 20}


def samples(count=12, size=(8, 8), **more):
    images = torch.arange(count * 3 * size[0] * size[1], dtype=torch.int64) * 37 % 251
    ids = tuple(f"sample {row}" for row in range(count))
    return Samples(images.to(torch.uint8).reshape(count, 3, *size), ids, **more)


def test_a_sample_does_not_depend_on_its_batch_or_place():
    pipeline = Pipeline.read("basic", seed=3)
    whole = samples()
    order = torch.tensor([7, 2, 11, 0])
    assert torch.equal(pipeline.run(whole).images[order], pipeline.run(whole.take(order)).images)


def test_large_batches_are_worked_on_in_parts_that_do_not_show():
    pipeline = Pipeline.read("basic")
    whole = samples(count=40, size=(64, 64))
    single = torch.cat([pipeline.run(whole.part(slice(row, row + 1))).images for row in range(40)])
    assert torch.equal(pipeline.run(whole).images, single)


def test_seed_epoch_and_id_decide_the_draws():
    one = Pipeline.read({"sample": [NOISE]}).run(samples())
    assert torch.equal(one.images, Pipeline.read({"sample": [NOISE]}).run(samples()).images)
    for other in (
        Pipeline.read({"sample": [NOISE]}, seed=1).run(samples()),
        Pipeline.read({"sample": [NOISE]}).run(samples(), epoch=1),
        Pipeline.read({"sample": [{**NOISE, "id": "other"}]}).run(samples()),
    ):
        assert not torch.equal(one.images, other.images)


def nested(*places):
    """A pipeline of nested groups, with the operation ``rotate`` at some of its places."""

    def here(place):
        return ["rotate"] if place in places else []

    inner = {"some_of": [*here("some of"), "jpeg", *here("its end"), "gamma", "hue"], "count": [1, 2]}
    choice = {"one_of": [*here("one of"), "invert", inner, "grey", *here("end")], "probability": 0.7}
    steps = [NOISE, {"sequence": [*here("sequence"), choice, "brightness"], "probability": 0.8}, "contrast"]
    return Pipeline.read({"sample": [*here("sample"), *steps, {"one_of": ["solarise", "equalise"]}]})


@pytest.mark.parametrize("place", ["sample", "sequence", "one of", "end", "some of", "its end"])
def test_an_inserted_operation_changes_only_samples_that_choose_it(place):
    before, after = nested().record(samples(200)), nested(place).record(samples(200))
    changed = 0
    for old, new in zip(before, after, strict=True):
        rest = [entry for entry in new if entry["id"] != "rotate"]
        inserted = len(rest) < len(new)
        if place in ("sample", "sequence") or not inserted:
            assert rest == old
        else:  # in place of another
            changed += rest != old
            assert [entry for entry in rest if entry not in old] == []
    assert (changed > 5) == (place not in ("sample", "sequence"))


def test_groups_apply_as_many_of_their_steps_as_they_say():
    spec = {
        "sample": [
            {"one_of": ["invert", "grey", "hue"], "probability": 0.5},
            {"some_of": ["gamma", "blur", "jpeg"], "count": 2},
            {"sequence": ["contrast", "brightness"], "probability": 0.3},
        ]
    }
    records = Pipeline.read(spec).record(samples(count=400))
    names = [{entry["id"] for entry in record} for record in records]
    one = [len(found & {"invert", "grey", "hue"}) for found in names]
    assert set(one) == {0, 1}
    assert 150 < sum(one) < 250
    assert all(len(found & {"gamma", "blur", "jpeg"}) == 2 for found in names)
    both = [len(found & {"contrast", "brightness"}) for found in names]
    assert set(both) == {0, 2}
    assert 80 < sum(both) / 2 < 160


def test_a_record_survives_json_and_is_of_one_pipeline():
    pipeline = Pipeline.read({"sample": ["perspective", "elastic", "random_erasing"]})
    record = json.loads(json.dumps(pipeline.record(samples())))
    assert torch.equal(pipeline.replay(samples(), record).images, pipeline.run(samples()).images)
    with pytest.raises(UsageError, match="another pipeline"):
        Pipeline.read({"sample": ["blur"]}).replay(samples(), record)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("elastic", {"strength": None}, "elastic has strength = None, and takes a finite number"),
        ("elastic", {"strength": float("nan")}, "strength = nan"),
        ("elastic", {"strength": 7}, "strength lies outside of 0 to 0.25"),
        ("elastic", {"strangth": 0.1}, r"elastic has the parameters \['key', 'strength'\]"),
        ("elastic", {"key": 1.5}, "takes a whole number of 0 to"),
        ("elastic", {"key": "-1"}, "takes a whole number of 0 to"),
        ("elastic", {"key": 2**63}, "takes a whole number of 0 to"),
        ("perspective", {"inwards": [1, 2]}, r"finite numbers of the shape \[4, 2\]"),
        ("crop", {"top": 9}, "top lies outside of 0 to 8"),
        ("random_erasing", {"rectangle": [0, 0, 9, 3]}, "outside of the image"),
        ("randaugment", {"operations": ["rotate", "sheer_x"]}, "no operation 'sheer_x'"),
        (None, [], "3 records, one for each sample, not 0"),
        (None, [[], [], [], []], "3 records, one for each sample, not 4"),
        (None, [[], None, []], "record of sample 1 is no list"),
        (None, [[], [{"id": ["crop"]}], []], "record of sample 1 is no list"),
        (None, [[{"id": "crop"}] * 2, [], []], "'crop' twice"),
        ("crop", None, "not None"),
        (None, [[{"id": "crop"}], [], []], "sample 0 lacks 'elastic'"),
    ],
)
def test_a_record_that_no_plan_makes_is_refused(name, change, message):
    steps = ["elastic", "perspective", {"operation": "crop", "padding": 4}, "random_erasing", "randaugment"]
    pipeline = Pipeline.read({"sample": steps})
    record = pipeline.record(samples(3)) if name else change
    for entry in record[2] if name else []:
        if entry["id"] == name:
            entry["parameters"] = None if change is None else {**entry["parameters"], **change}
    with pytest.raises(UsageError, match=message):
        pipeline.replay(samples(3), record)


def test_a_record_lacks_only_what_is_not_done_to_every_sample():
    steps = [{"sequence": ["invert", {"operation": "blur", "probability": 0.5}]}, {"one_of": ["grey", "hue"]}]
    pipeline = Pipeline.read({"sample": steps})
    record = pipeline.record(samples(40))
    assert torch.equal(pipeline.replay(samples(40), record).images, pipeline.run(samples(40)).images)
    record[7] = [entry for entry in record[7] if entry["id"] != "invert"]
    with pytest.raises(UsageError, match="sample 7 lacks 'invert'"):
        pipeline.replay(samples(40), record)


def test_a_specification_is_read_again_from_its_plain_form_with_the_same_digest(tmp_path):
    spec = read_specification(
        {"sample": ["rotate", {"some_of": ["blur", "jpeg"], "count": [1, 2]}], "chiral": ["b"]}
    )
    file = tmp_path / "pipeline.json"
    file.write_text(json.dumps(spec.plain()))
    again = read_specification(file)
    assert (again, again.digest) == (spec, spec.digest)
    assert read_specification({"sample": ["rotate"]}).digest != spec.digest


def test_leaves_for_a_search_are_listed_chosen_and_refused_until_then():
    raw = {"sample": [{"operation": "rotate", "degrees": {"search": [[-5, 5], [-20, 20]]}}]}
    assert searchable(raw) == [("sample[0].degrees", [[-5, 5], [-20, 20]])]
    with pytest.raises(ConfigError, match=r"sample\[0\].degrees to a search"):
        read_specification(raw)
    chosen = read_specification(with_chosen(raw, {"sample[0].degrees": [-5, 5]}))
    assert chosen == read_specification({"sample": [{"operation": "rotate", "degrees": [-5, 5]}]})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"sampel": ["blur"]}, "unknown key 'sampel' .did you mean 'sample'"),
        ({"sample": []}, "no steps"),
        ({"sample": ["blurr"]}, r"sample\[0\].*no operation 'blurr' .did you mean 'blur'"),
        ({"sample": ["blur@9"]}, "Versions here: blur@1"),
        ({"sample": [{"operation": "os:system"}]}, "no operation 'os:system'"),
        ({"sample": [{"operation": "blur", "sigmaa": 1}]}, "no parameter 'sigmaa' .did you mean 'sigma'"),
        ({"sample": [{"operation": "blur", "probability": 1.5}]}, "probability = 1.5"),
        ({"sample": [{"operation": "blur", "probability": -0.1}]}, "probability = -0.1"),
        ({"sample": [{"operation": "blur", "sigma": [2, 1]}]}, "lower end"),
        ({"sample": [{"operation": "blur", "sigma": 99}]}, r"must lie in \[0.05, 20\]"),
        ({"sample": [{"operation": "blur", "sigma": {"unifrom": [1, 2]}}]}, "did you mean 'uniform'"),
        ({"sample": [{"operation": "posterise", "bits": 2.5}]}, "whole number"),
        ({"sample": [{"one_of": ["blur"], "cuont": 1}]}, "no key 'cuont'"),
        ({"sample": [{"some_of": ["blur"], "count": 2}]}, "count is a number"),
        ({"sample": [{"opeartion": "blur"}]}, "did you mean 'operation'"),
        ({"sample": ["blur", "blur"]}, "the id 'blur'"),
        ({"sample": ["horizontal_flip"], "chiral": ["b", "d"]}, "b, d are declared chiral"),
        (
            {"sample": [{"operation": "affine", "y": [-0.6, 0], "edge": "reflect"}], "chiral": ["b"]},
            "affine mirrors images",
        ),
        ({"sample": [{"operation": "random_erasing", "fill": 300}]}, "fill.* = 300"),
        ({"sample": [{"operation": "random_erasing", "fill": -5}]}, "fill.* = -5"),
        ({"sample": [{"operation": "mask_dropout", "mask_fill": 2**24 + 1}]}, "mask_fill = 16777217"),
        ({"sample": [{"operation": "crop", "probability": 0.5}]}, "must be applied to all"),
        ({"sample": [{"one_of": ["pad", "blur"]}]}, "must be applied to all"),
        ({"sample": ["blur"], "version": 2}, "update synth"),
    ],
)
def test_a_bad_specification_is_refused_with_a_hint(spec, message):
    with pytest.raises(ConfigError, match=message):
        read_specification(spec)


NESTED = "sample: " + "[" * 900 + "]" * 900


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (NESTED, "more than 64 deep"),
        (NESTED.replace("sample: ", '{"sample": ') + "}", "more than 64 deep"),
        ('{"sample": ["blur"], "min_visible": 1' + "0" * 400 + "}", "more than 64 bits"),
        ('{"sample": [{"operation": "blur", "id": "\\ud800"}]}', "no text"),
    ],
)
def test_values_that_nothing_can_be_done_with_are_refused(content, message, tmp_path):
    for read in (read_text, lambda text, what: read_specification(json.loads(text))):
        if read is read_text or content[0] == "{":
            with pytest.raises(ConfigError, match=message):
                read(content, "The pipeline")


def test_numbers_are_those_of_yaml_1_2():
    assert read_text("[1e-3, -2E+4, .5e1, 1e3x, 12]", "it") == [1e-3, -2e4, 5.0, "1e3x", 12]


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="Cannot read the pipeline"):
        read_specification(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"Cannot read the pipeline 'a\\x00b'"):
        read_specification("a\0b")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="neither YAML nor JSON"):
        read_specification(tmp_path / "bad.yaml")


def test_flips_of_chiral_classes_are_done_when_allowed():
    step = {"operation": "horizontal_flip", "probability": 1.0, "allow_chiral": True}
    made = Pipeline.read({"sample": [step], "chiral": ["b"]}).run(samples())
    assert torch.equal(made.images, samples().images.flip(-1))


def test_margins_of_more_than_half_a_side_mirror_chiral_classes():
    for padding, edge, refused in ((4, "reflect", False), (5, "reflect", True), (5, "edge", False)):
        crop = {"operation": "crop", "padding": padding, "edge": edge}
        with pytest.raises(ConfigError, match="crop mirrors images") if refused else nullcontext():
            Pipeline.read({"sample": [crop], "chiral": ["b"]}).run(samples())
        Pipeline.read({"sample": [{**crop, "allow_chiral": True}], "chiral": ["b"]}).run(samples())


ROW = torch.zeros(1, dtype=torch.int64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": Boxes(torch.tensor([[0.0, 0, 20, 4]]), ROW)}, "a box inside"),
        ({"boxes": Boxes(torch.tensor([[5.0, 0, 2, 4]]), ROW)}, "left, top, right, bottom"),
        ({"boxes": Boxes(torch.tensor([[2.0, 2, 2, 4]]), ROW)}, "some area"),
        ({"boxes": Boxes(torch.tensor([[float("nan"), 2, 2, 4]]), ROW)}, "four numbers"),
        ({"boxes": Boxes(torch.tensor([[2.0, 2, 4, 4]]), ROW + 12)}, "the row 12, and there are 12 samples"),
        ({"boxes": Boxes(torch.tensor([[2.0, 2, 4, 4]]), ROW.repeat(2))}, "2 rows were given for 1 box"),
        ({"boxes": Boxes(torch.zeros(2, 4), ROW.repeat(2), ROW)}, "1 labels were given for 2 boxes"),
        ({"points": Points(torch.tensor([[5.0, 2]]), ROW, ROW.repeat(2))}, "2 objects .* for 1 keypoint"),
        ({"points": Points(torch.tensor([5.0, 2]), ROW)}, r"Keypoints are \[K, 2\]"),
        ({"points": Points(torch.tensor([[50.0, 2]]), ROW)}, "keypoint"),
        ({"points": Points(torch.tensor([[float("nan"), 2]]), ROW)}, "keypoint"),
        ({"masks": torch.zeros((12, 4, 4), dtype=torch.uint8)}, "a mask of its own size"),
        ({"masks": torch.zeros((12, 8, 8))}, "Masks are integers"),
        (
            {"masks": torch.zeros((12, 8, 8), dtype=torch.uint16)},
            "the types bool, uint8.*not uint16",
        ),
        ({"masks": torch.full((12, 8, 8), 2**24 + 1)}, "class numbers of up to .* 16,777,217"),
        ({"masks": torch.ones((12, 8, 8), dtype=torch.int8)}, "rotate fills masks with 255.* 127 at most"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, "3 labels"),
        ({"ids": ("a",)}, "1 ids"),
        ({"images": torch.zeros((12, 3, 8, 8), dtype=torch.uint16)}, "16-bit"),
        ({"images": torch.zeros((12, 5, 8, 8), dtype=torch.uint8)}, "1 to 4 channels"),
    ],
)
def test_bad_samples_are_refused_by_name(change, message):
    with pytest.raises(SourceError, match=message):
        Pipeline.read({"sample": [{"operation": "rotate", "mask_fill": 255}]}).record(
            replace(samples(), **change)
        )


def test_boxes_that_leave_the_image_by_rounding_are_clipped():
    boxes = Boxes(torch.tensor([[-1e-4, 0, 8.0001, 4]]), ROW)
    made = Pipeline.read({"sample": ["invert"]}).run(samples(boxes=boxes)).boxes
    assert made.corners.tolist() == [[0, 0, 8, 4]]


def test_a_crop_that_does_not_fit_and_an_id_that_is_none_are_refused():
    with pytest.raises(ConfigError, match="does not fit"):
        Pipeline.read({"sample": [{"operation": "crop", "size": [9, 9]}]}).run(samples())
    with pytest.raises(UsageError, match="id of a sample"):
        Pipeline.read({"sample": ["blur"]}).run(Samples(samples(1).images, (-1,)))
    with pytest.raises(UsageError, match="epoch"):
        Pipeline.read({"sample": ["blur"]}).run(samples(), epoch=-1)


def test_an_operation_given_as_a_key_is_told_how_to_be_written():
    with pytest.raises(ConfigError, match=r"not rotate\. Write \{operation: rotate, \.\.\.\}"):
        Pipeline.read({"sample": [{"rotate": {"degrees": [-10, 10]}}]})
