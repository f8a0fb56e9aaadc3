import json

import pytest

from synth.errors import LabelError, UsageError
from synth.offline import make_plan, shards
from synth.randomness import MAX_INDEX


def plan(fake, count=10, *, classes=("cat", "dog"), **request):
    return make_plan(fake.FakeCard(classes), count, **request)


def test_shards_cover_the_request_in_order(fake):
    parts = list(shards(plan(fake, 25, start=100, shard_size=10)))
    assert [(part.number, part.start, part.count) for part in parts] == [
        (0, 100, 10),
        (1, 110, 10),
        (2, 120, 5),
    ]
    assert {part.labels for part in parts} == {"any"}


@pytest.mark.parametrize("labels", ["balanced", "dog", "cat=3,dog=7", {"dog": 7, "cat": 3}, ["cat", 1] * 5])
def test_the_labels_of_a_request_do_not_depend_on_its_shards(fake, labels):
    whole = next(shards(plan(fake, labels=labels, shard_size=10))).labels
    parts = shards(plan(fake, labels=labels, shard_size=4))
    assert [label for part in parts for label in part.labels] == whole


def test_labels_counted_over_the_whole_request_may_cross_shards(fake):
    parts = shards(plan(fake, labels="cat=5,dog=5", shard_size=4))
    assert [part.labels for part in parts] == [[0, 0, 0, 0], [0, 1, 1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("classes", "labels"),
    [(("cat", "dog"), "bird"), (("cat", "dog"), "cat=3,dog=8"), (("cat", "dog"), [0]), (None, "balanced")],
)
def test_labels_that_do_not_fit_are_refused_at_once(fake, classes, labels):
    with pytest.raises(LabelError):
        shards(plan(fake, classes=classes, labels=labels))


@pytest.mark.parametrize(
    "request_",
    [
        {"count": 0},
        {"count": 1.5},
        {"start": -1},
        {"start": MAX_INDEX - 1, "count": 2},
        {"seed": -1},
        {"seed": 2**64},
        {"shard_size": 0},
        {"mode": "quick"},
    ],
)
def test_values_out_of_range_are_refused(fake, request_):
    with pytest.raises(UsageError):
        plan(fake, **{"count": 10, **request_})


def test_the_request_as_json_keeps_the_order_of_counted_classes(fake):
    one, other = (
        plan(fake, labels=labels).as_dict() for labels in ({"cat": 3, "dog": 7}, {"dog": 7, "cat": 3})
    )
    assert json.loads(json.dumps(one)) == one
    assert one != other
