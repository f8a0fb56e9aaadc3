"""Real and synthetic images in one stream."""

from __future__ import annotations

import json
import threading

import pytest
import torch
from torch.utils.data import DataLoader

from synth.ahead import ahead
from synth.augment import Pipeline
from synth.client import RemoteModel, ServerError, UnreachableError
from synth.data import open_source
from synth.errors import DeviceError, LabelError, NotFoundError, ResumeError, SourceError, UsageError
from synth.integrations.torch import SynthStream
from synth.sampling import Sampler
from tests.serving.conftest import FakeGenerator
from tests.serving.conftest import listen as listen
from tests.serving.conftest import store as store


@pytest.fixture
def sampler(store, tiny, monkeypatch):
    """Of ``toys``: grey 8 x 8, kind0 and kind1."""
    monkeypatch.setenv("SYNTH_HOME", str(store.root.parent))
    artifact = tiny.untrained(store)
    return Sampler(artifact, device="cpu", precision="32", warmup_seconds=0)


@pytest.fixture
def real(tiny, tmp_path):
    return open_source(tiny.source(tmp_path / "real.npz", count=30))


def stream(real, model, **options):
    return SynthStream(
        real, model, **{"share": 0.4, "batch_size": 8, "mode": "exact", "mark": True, "seed": 3, **options}
    )


def shown(batches):
    return [tuple(part.tolist() for part in batch) for batch in batches]


def split(batches):
    """Real and synthetic pairs, in their order."""
    parts = ([], [])
    for images, labels, synthetic in batches:
        for image, label, made in zip(images, labels, synthetic, strict=True):
            parts[bool(made)].append((image.tolist(), int(label)))
    return parts


def test_all_real_images_come_once_and_the_others_follow_from_seed_index_and_epoch(real, sampler):
    one = stream(real, sampler)
    assert len(one) == 7
    for epoch in (0, 2):
        one.set_epoch(epoch)
        found, made = split(one)
        wanted = [(sample.image.transpose(2, 0, 1).tolist(), sample.label) for sample in real]
        assert sorted(found) == sorted(wanted)
        assert found != wanted
        batch = sampler.generate(20, seed=3, start=20 * epoch, mode="exact")
        assert made == [
            (image.tolist(), label) for image, label in zip(batch.images, batch.labels.tolist(), strict=True)
        ]
    same = stream(real, sampler, fresh=False)
    first = split(same)[1]
    same.set_epoch(1)
    assert sorted(split(same)[1]) == sorted(first)
    none = stream(real, sampler, share=0.0)
    assert [len(part) for part in split(none)] == [30, 0]


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes:UserWarning")
def test_workers_and_ranks_share_the_slots_and_a_stopped_loop_goes_on(real, sampler):
    whole = shown(stream(real, sampler))
    assert shown(DataLoader(stream(real, sampler), batch_size=None, num_workers=3)) == whole
    parts = [shown(stream(real, sampler, batch_size=4, rank=rank, world=2)) for rank in (0, 1)]
    for step in range(6):
        images, labels, synthetic = ([*a, *b] for a, b in zip(parts[0][step], parts[1][step], strict=True))
        assert (images, labels, synthetic) == whole[step]
    again = stream(real, sampler)
    state = json.loads(json.dumps(again.state_after(3)))
    again.load_state_dict(state)
    assert shown(again) == whole[3:]
    for other in ({"labels": "balanced"}, {"mode": "fast"}, {"parameters": {"spread": 0.5}}):
        with pytest.raises(ResumeError, match=f"with {next(iter(other))} "):
            stream(real, sampler, **other).load_state_dict(state)


def test_a_sampler_its_reference_and_a_server_give_the_same_stream(real, sampler, listen, monkeypatch):
    whole = shown(stream(real, sampler))
    opened = Sampler.open("toys@1", device="cpu")
    assert shown(stream(real, "toys@1", device="cpu")) == shown(stream(real, opened))
    with monkeypatch.context() as patch:
        patch.setattr("torch.cuda._is_in_bad_fork", lambda: True)
        assert shown(stream(real, "toys@1")) == shown(stream(real, opened))
        patch.setattr("torch.cuda.device_count", lambda: 1)
        with pytest.raises(DeviceError, match="multiprocessing_context='spawn'"):
            next(iter(stream(real, "toys@1")))
        assert shown(stream(real, sampler)) == whole
    with RemoteModel(listen(lambda artifact: sampler), "toys") as model:
        assert shown(stream(real, model)) == whole
        assert shown(DataLoader(stream(real, model), batch_size=None, num_workers=1)) == whole
        spawned = stream(real, model)
        assert spawned._model.__getstate__()["_here"] is None


def test_the_pipeline_augments_both_and_mixes_with_real_ones(real, sampler):
    plain = split(stream(real, sampler))
    turned = split(stream(real, sampler, pipeline=Pipeline.read({"sample": ["invert"]})))
    for before, after in zip(plain, turned, strict=True):
        assert [(255 - torch.tensor(image)).tolist() for image, _ in before] == [image for image, _ in after]
    mixing = Pipeline.read({"batch": ["mixup"]})
    for _, shares, _ in stream(real, sampler, pipeline=mixing):
        torch.testing.assert_close(shares.sum(1), torch.ones(len(shares)))


def test_labels_are_those_asked_for_in_the_numbers_of_the_data_set(real, sampler):
    assert [label for _, label in split(stream(real, sampler, labels="balanced"))[1]] == [0, 1] * 10
    assert {label for _, label in split(stream(real, sampler, labels="kind1"))[1]} == {1}
    pairs = [(sample.image, 2 - sample.label) for sample in real]
    named = stream(
        pairs, sampler, classes=["other", "b", "a"], names={"kind0": "a", "kind1": "b"}, labels=["b", "a"]
    )
    made = split(named)[1]
    assert [label for _, label in made] == [1, 2] * 10
    batch = sampler.generate(20, labels=["kind1", "kind0"] * 10, seed=3, mode="exact")
    assert [image for image, _ in made] == batch.images.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["kind0", "kind2"]}, "makes kind1, and the data set has no such class"),
        ({"classes": ["kind0", "kind1"], "names": {"kin0": "kind1"}}, "no class 'kin0'.*did you mean"),
        ({"classes": ["kind0", "kind1"], "labels": "kind3"}, "cannot make kind3 .*Both know: kind0, kind1"),
        ({"classes": ["a", "b"], "labels": "a"}, "Both know: nothing"),
        ({"classes": ["kind0", "kind1"], "labels": []}, "cannot make no class at all"),
    ],
)
def test_classes_that_do_not_fit_are_refused_at_once(real, sampler, options, message):
    pairs = [(sample.image, sample.label) for sample in real]
    with pytest.raises(LabelError, match=message):
        stream(pairs, sampler, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 1.0}, "share is a number from 0 and below 1"),
        ({"share": float("nan")}, "share is a number"),
        ({"depth": 0}, "depth is a whole number from 1"),
        ({"seed": -1}, "out of range"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_at_once(real, sampler, options, message):
    with pytest.raises(UsageError, match=message):
        stream(real, sampler, **options)
    with pytest.raises(NotFoundError):
        stream(real, "nobody")


def test_targets_that_are_no_classes_are_refused(real, sampler):
    masks = [(sample.image, sample.image[:, :, 0]) for sample in real]
    with pytest.raises(SourceError, match="have the number of their class"):
        next(iter(stream(masks, sampler, classes=["kind0", "kind1"])))
    with pytest.raises(UsageError, match="give 'classes'"):
        next(iter(stream([(sample.image, sample.label) for sample in real], sampler)))
    images, synthetic = next(iter(stream([sample.image for sample in real], sampler)))
    assert (images.shape, synthetic.shape) == ((8, 1, 8, 8), (8,))


def test_a_server_that_fails_is_an_error_of_the_loop_that_says_what_was_wanted(real, store, sampler, listen):
    class Broken(FakeGenerator):
        def run(self, rows, mode, parameters, *, wanted=None):
            raise RuntimeError("the device is gone")

    pairs = [(sample.image, sample.label) for sample in real]
    with RemoteModel(listen(Broken), "toys", retries=0) as model:
        with pytest.raises(ServerError) as caught:
            list(stream(pairs, model, classes=["kind0", "kind1"]))
        assert "images 0 to" in caught.value.__notes__[0]
        loader = DataLoader(stream(pairs, model, classes=["kind0", "kind1"]), batch_size=None, num_workers=1)
        with pytest.raises(ServerError, match="DataLoader worker process 0"):
            list(loader)
    assert not alive()


def test_a_loop_that_ends_early_leaves_no_thread(real, sampler):
    batches = iter(stream(real, sampler))
    next(batches)
    assert alive()
    batches.close()
    assert not alive()


def alive():
    return [thread for thread in threading.enumerate() if thread.name == "synth-ahead"]


def test_work_is_done_ahead_but_no_further_than_told():
    begun, enough = [], threading.Event()

    def make(number):
        begun.append(number)
        if number == 2:
            enough.set()
        if number == 5:
            raise UnreachableError("nobody is there")
        return number * number

    made = ahead(make, range(10), 3)
    assert next(made) == 0
    assert enough.wait(10)
    assert [next(made) for _ in range(4)] == [1, 4, 9, 16]
    assert len(begun) <= 8
    with pytest.raises(UnreachableError, match="nobody is there"):
        next(made)
    assert not alive()
