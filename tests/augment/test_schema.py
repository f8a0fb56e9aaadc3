"""The published JSON Schema takes what is read, and refuses what is not."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from synth.augment import OPERATIONS, read_specification
from synth.augment.presets import PRESETS
from synth.augment.schema import pipeline_schema
from synth.errors import ConfigError

GUIDE = Path(__file__).parents[2] / "docs" / "augment.md"
SCHEMA = pipeline_schema()
PARTIES = [
    {"sample": ["horizontal_flip", "rotate@1"]},
    {"batch": ["cutmix"]},
    {"sample": [{"sequence": ["invert"], "within": "background"}]},
    {"sample": [{"one_of": ["invert", "blur"], "within": {"classes": [1, 2], "share": 0.5}}]},
    {
        "sample": [{"operation": "mask_dropout", "fill": 3}],
        "batch": [{"operation": "copy_paste", "classes": [1]}],
    },
    {"sample": [{"operation": "blur", "sigma": 0.5, "id": "soft"}]},
    {"sample": [{"operation": "rotate", "degrees": {"normal": [0, 5]}}]},
    {"sample": [{"operation": "random_erasing", "fill": "noise"}]},
    {"sample": [{"operation": "crop", "size": [8, 6], "padding": 2}]},
    {"sample": [{"sequence": [{"one_of": ["grey", {"some_of": ["hue", "gamma"], "count": [0, 2]}]}]}]},
    {"batch": [{"operation": "mixup", "weight": {"beta": [0.2, 0.2]}}], "chiral": ["b"], "min_visible": 0.5},
]


@pytest.fixture(scope="module")
def validator():
    return jsonschema_rs.validator_for(SCHEMA)


def test_it_is_a_schema_that_tells_every_operation_and_parameter():
    jsonschema_rs.meta.validate(SCHEMA)
    for name in OPERATIONS:
        told = SCHEMA["$defs"][name]
        assert told["description"], name
        undescribed = {field for field, about in told["properties"].items() if not about.get("description")}
        assert undescribed == {"operation"}, name
        assert set(told["x-synth"]) == {"targets", "geometry", "labels", "needs"}
    assert SCHEMA["$defs"]["copy_paste@1"]["x-synth"] == {
        "targets": ["image", "boxes", "masks", "points", "label"],
        "geometry": "none",
        "labels": "mix",
        "needs": ["partner", "objects"],
    }
    degrees = SCHEMA["$defs"]["rotate@1"]["properties"]["degrees"]
    assert degrees["default"] == [-15, 15]
    assert degrees["anyOf"][0] == {"type": "number", "minimum": -360, "maximum": 360}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_and_their_full_forms_are_taken(validator, name):
    validator.validate(dict(PRESETS[name]))
    validator.validate(read_specification(name).plain())


def test_every_operation_that_needs_nothing_is_taken_as_it_is_written_out(validator):
    for stage, kind in (("sample", "step"), ("batch", "mix")):
        for name in SCHEMA["$defs"][kind]["anyOf"][0]["enum"]:
            validator.validate(read_specification({stage: [name]}).plain())


@pytest.mark.parametrize("specification", PARTIES)
def test_what_can_be_read_is_taken(validator, specification):
    validator.validate(specification)
    validator.validate(read_specification(specification).plain())


def test_the_examples_of_the_guide_are_taken_and_so_are_search_leaves(validator):
    examples = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    for example in examples:
        validator.validate(yaml.safe_load(example))
    assert "operation: generate@1" in "".join(examples)
    leaves = {"degrees": {"search": [5, [0, 10]]}, "probability": {"search": [0.2, 0.8]}}
    validator.validate({"sample": [{"operation": "rotate", **leaves}, {"search": ["blur", "jpeg"]}]})


@pytest.mark.parametrize(
    "specification",
    [
        {},
        {"sample": []},
        {"sampel": ["blur"]},
        {"sample": ["blurr"]},
        {"sample": ["rotate@2"]},
        {"sample": ["cutmix"]},
        {"batch": ["rotate"]},
        {"batch": [{"one_of": ["mixup", "cutmix"]}]},
        {"version": 2, "sample": ["blur"]},
        {"sample": ["blur"], "min_visible": 1.5},
        {"sample": ["blur"], "chiral": "b"},
        {"sample": [{"operation": "rotate", "degree": 5}]},
        {"sample": [{"operation": "rotate", "degrees": 500}]},
        {"sample": [{"operation": "rotate", "degrees": [1, 2, 3]}]},
        {"sample": [{"operation": "rotate", "degrees": {"gaussian": [0, 1]}}]},
        {"sample": [{"operation": "rotate", "degrees": {"beta": [0, 1]}}]},
        {"sample": [{"operation": "rotate", "degrees": {"normal": [0, -1]}}]},
        {"sample": [{"operation": "jpeg", "quality": {"log_uniform": [1, 100]}}]},
        {"sample": [{"operation": "blur", "probability": 1.5}]},
        {"sample": [{"operation": "crop", "size": [8]}]},
        {"sample": [{"one_of": []}]},
        {"sample": [{"one_of": ["blur"], "count": 1}]},
        {"sample": [{"one_of": ["blur"], "within": "object"}]},
        {"sample": [{"one_of": ["blur"], "within": {"share": 2}}]},
        {"sample": [{"one_of": ["blur"], "within": {"classes": ["cat"]}}]},
        {"sample": [{"some_of": ["blur"], "count": -1}]},
        {"sample": [{"rotate": {"degrees": 5}}]},
        {"sample": [7]},
        {"sample": [{"operation": "blur", "probability": True}]},
        {"sample": [{"operation": "blur", "probability": "0.5"}]},
        {"sample": [{"operation": "rotate", "nearest": "yes"}]},
        {"sample": [{"operation": "cutout", "fill": True}]},
        {"sample": [{"operation": "blur", "id": ""}]},
        {"sample": ["blur"], "version": True},
    ],
)
def test_what_cannot_be_read_is_refused(validator, specification):
    assert not validator.is_valid(specification)
    with pytest.raises(ConfigError):
        read_specification(specification)
