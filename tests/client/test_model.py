"""A model of a server is used as one that is loaded here, and makes the same."""

from __future__ import annotations

import threading
from itertools import islice

import numpy as np
import pytest
import torch

import synth.client.parts
from synth.client import RemoteModel, ServerError, UnreachableError
from synth.errors import LabelError, NotFoundError, UsageError
from synth.offline import generate_dataset, make_plan
from tests.sampling.test_translators import photos


def same(ours, theirs) -> None:
    """Two batches, but for what is not sent."""
    assert torch.equal(ours.images, theirs.images)
    assert torch.equal(ours.index, theirs.index)
    assert ours.labels is theirs.labels or torch.equal(ours.labels, theirs.labels)
    for name in ("seed", "fingerprint", "classes", "parameters", "translated"):
        assert getattr(ours, name) == getattr(theirs, name), name


@pytest.fixture
def toys(address):
    with RemoteModel(address, "toys") as model:
        yield model


@pytest.fixture
def tint(address):
    with RemoteModel(address, "tint@1") as model:
        yield model


def test_the_card_and_the_parameters_are_those_of_the_sampler(toys, tint, models):
    for remote, name in ((toys, "toys"), (tint, "tint")):
        local = models[name]
        assert remote.card == local.card
        told = {one.name: (type(one), one.default, one.meaning) for one in remote.parameters}
        assert told == {one.name: (type(one), one.default, one.meaning) for one in local.parameters}
        assert remote.any_size == local.any_size


@pytest.mark.parametrize(
    "labels", ["any", "balanced", "kind1", 0, {"kind1": 5, "kind0": 2}, [0, 1, 1, 0, 0, 0, 1]]
)
def test_what_is_generated_is_the_same_as_here_also_in_parts(toys, models, monkeypatch, labels):
    asked = {"labels": labels, "seed": 2**63 + 5, "start": 9, "mode": "exact", "spread": np.float32(0.5)}
    expected = models["toys"].generate(7, **asked)
    same(toys.generate(7, **asked), expected)
    monkeypatch.setattr(synth.client.parts, "_AT_ONCE", 3)
    same(toys.generate(7, **asked), expected)


def test_what_is_translated_is_the_same_as_here(toys, tint, models, monkeypatch):
    monkeypatch.setattr(synth.client.parts, "_BYTES_AT_ONCE", 3 * 20 * 30 * 2)
    images = photos(5, 20, 30)
    asked = {"seed": 3, "start": 4, "mode": "exact", "strength": 0.5, "style": photos(2, 9, 9)[0]}
    same(tint.translate(images, **asked), models["tint"].translate(images, **asked))
    grey = models["toys"].generate(3).numpy()
    asked = {"labels": ["kind1", 0, 1], "seed": 1, "mode": "exact"}
    same(toys.translate(grey, **asked), models["toys"].translate(grey, **asked))


def test_a_stream_goes_on_where_it_was(toys, models):
    ours = list(islice(toys.stream(batch_size=3, seed=2, start=5, mode="exact"), 3))
    theirs = models["toys"].generate(9, seed=2, start=5, mode="exact")
    assert torch.equal(torch.cat([batch.images for batch in ours]), theirs.images)
    # A server that hangs must not hold a process that ends: its thread is none that is waited for.
    hanging = toys.stream(batch_size=3)
    next(hanging)
    assert [one.daemon for one in threading.enumerate() if one.name == "synth-ahead"] == [True]
    hanging.close()
    with pytest.raises(UsageError, match="count must be 1 or more"):
        next(toys.stream(batch_size=0))


def test_data_sets_are_made_by_it_as_by_a_sampler(toys, tmp_path):
    plan = make_plan(toys.card, 5, labels="balanced", shard_size=2, format="npz")
    assert generate_dataset(toys, plan, tmp_path / "out").class_counts == [3, 2]


def test_the_only_model_need_not_be_named_and_aliases_are_found(models, listen, store, address):
    with pytest.raises(UsageError, match=r"Say which model of .* is meant; it has: tint, toys"):
        RemoteModel(address)
    store.set_alias("toys@1", "stable")
    with RemoteModel(address, "toys@stable") as model:
        assert model.card.reference == "toys@1"
    with pytest.raises(UsageError, match="has no toys@other"):
        RemoteModel(address, "toys@other")
    store.remove("tint", all_versions=True)
    while True:  # until the server has looked again
        try:
            with RemoteModel(address) as model:
                assert model.card.name == "toys"
            return
        except UsageError:
            continue


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (lambda toys, tint: toys.generate(0), UsageError, "count must be 1 or more"),
        (lambda toys, tint: toys.generate(1, seed=-1), UsageError, "seed"),
        (lambda toys, tint: toys.generate(1, sprad=1.0), UsageError, "did you mean 'spread'"),
        (lambda toys, tint: toys.generate(1, labels="kind7"), LabelError, "There is no class 'kind7'"),
        (lambda toys, tint: toys.translate(np.zeros((1, 9, 9, 1), np.uint8), labels=0), UsageError, "uint8"),
        (lambda toys, tint: toys.translate(np.zeros((1, 8, 8, 1), np.uint8)), UsageError, "say with labels"),
        (lambda toys, tint: tint.generate(1), UsageError, "Use synth translate tint@1"),
        (lambda toys, tint: tint.translate(photos(1), style="a.png"), UsageError, "style takes pictures"),
        (lambda toys, tint: tint.translate(photos(1), labels=0), LabelError, "trained without labels"),
    ],
)
def test_errors_are_those_of_a_sampler(toys, tint, ask, error, says):
    with pytest.raises(error, match=says):
        ask(toys, tint)


def test_who_is_not_there_is_named(address):
    with pytest.raises(NotFoundError, match=r"There is no model 'toy' .*\(did you mean 'toys'\?\)"):
        RemoteModel(address, "toy")
    for url in ("localhost:8000", "ftp://localhost", "http://"):
        with pytest.raises(UsageError, match="is no address of a server; write http://HOST:8000"):
            RemoteModel(url, "toys")
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1 cannot be reached .*Is synth serve running"):
        RemoteModel("http://127.0.0.1:1", "toys", retries=0)


def test_a_model_that_was_replaced_meanwhile_is_not_mistaken_for_the_one_before(toys, monkeypatch):
    object.__setattr__(toys._card, "digest", "00" * 32)
    with pytest.raises(ServerError, match="toys@1 was replaced on the server"):
        toys.generate(1)
