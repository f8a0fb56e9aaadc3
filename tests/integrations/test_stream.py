"""Iterable data sets: shared out without duplicates, in one order, resumable anywhere."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset
from torchdata.stateful_dataloader import StatefulDataLoader

from synth.augment import Pipeline
from synth.errors import ResumeError, UsageError
from synth.integrations.torch import as_stream, as_torch

pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")  # by torchdata

FLIP = Pipeline.read({"sample": ["horizontal_flip", "gaussian_noise"]}, seed=3)


class Numbers(Dataset):
    """Image i is grey i everywhere; the target is i."""

    def __init__(self, count=100):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, position):
        return torch.full((1, 4, 4), position, dtype=torch.uint8), position


class Endless(IterableDataset):
    """Ten in a row, other ones in each epoch, as an iterable; with a state of its own if wanted."""

    epoch = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        yield from (Numbers()[10 * self.epoch + position] for position in range(10))


class Stateful(Endless):
    """Goes on by itself: what lies before is never read again."""

    def __init__(self):
        self.next, self.read = 0, []

    def __iter__(self):
        while self.next < 10:
            self.next += 1
            self.read.append(self.next - 1)
            yield Numbers()[self.next - 1]
        self.next = 0

    def state_dict(self):
        return {"next": self.next}

    def load_state_dict(self, state):
        self.next = state["next"]


def stream(**options):
    return as_stream(Numbers(), FLIP, **{"batch_size": 8, "ids": "content", **options})


def loader(dataset, workers=0, kind=DataLoader, **options):
    return kind(dataset, batch_size=None, num_workers=workers, **options)


def shown(batches):
    return [(images.tolist(), labels.tolist()) for images, labels in batches]


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes:UserWarning")
def test_batches_and_their_order_are_those_of_any_number_of_workers_and_of_the_map_style_set():
    alone = stream()
    alone.set_epoch(2)
    batches = shown(alone)
    labels = [label for _, batch in batches for label in batch]
    assert sorted(labels) == list(range(100))
    assert labels != sorted(labels)
    assert len(alone) == len(loader(alone)) == len(batches) == 13
    shared = stream()
    shared.set_epoch(2)
    assert shown(loader(shared, 3)) == batches
    whole = as_torch(Numbers(), FLIP)
    whole.set_epoch(2)
    items = whole.__getitems__(labels)
    assert [image.tolist() for image, _ in items] == [image for images, _ in batches for image in images]
    alone.set_epoch(3)
    assert shown(alone) != batches
    in_order = stream(shuffle=False)
    assert [label for _, batch in in_order for label in batch.tolist()] == list(range(100))


def test_ranks_share_an_epoch_and_a_step_of_all_is_that_of_one_with_as_large_a_batch(monkeypatch):
    parts = [shown(stream(rank=rank, world=2)) for rank in (0, 1)]
    one = shown(stream(batch_size=16))
    for step, (_, labels) in enumerate(one):
        assert [label for part in parts for _, batch in part[step : step + 1] for label in batch] == labels
    assert [len(stream(rank=rank, world=2)) for rank in (0, 1)] == [7, 6]
    even = [stream(rank=rank, world=3, drop_last=True) for rank in range(3)]
    assert [len(part) for part in even] == [len(shown(part)) for part in even] == [4, 4, 4]
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert shown(stream()) == parts[1]


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes:UserWarning")
@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 3), (3, 1)])
def test_a_loop_that_was_stopped_goes_on_with_what_remains_with_other_workers_too(before, after):
    first = stream()
    first.set_epoch(4)
    whole = shown(first)
    batches = iter(loader(first, before))
    assert shown([next(batches) for _ in range(5)]) == whole[:5]
    state = json.loads(json.dumps(first.state_after(5)))
    again = stream()
    again.load_state_dict(state)
    again.set_epoch(4)
    assert shown(loader(again, after)) == whole[5:]
    # It may be stopped again, and counts from where it went on.
    third = stream()
    third.load_state_dict(again.state_after(2))
    assert shown(loader(third, after)) == whole[7:]
    again.set_epoch(5)
    assert again.state_after(1)["start"] == 8
    assert len(shown(loader(again, after))) == 13


@pytest.mark.parametrize("stay", [False, True])
def test_a_place_is_that_of_one_pass_whether_workers_stay_or_not(stay):
    kept = stream()
    batches = loader(kept, 2, persistent_workers=stay)
    assert len(shown(batches)) == 13
    with pytest.raises(UsageError, match="keep state_after"):
        kept.state_dict()
    kept.load_state_dict(kept.state_after(10))
    assert kept.state_dict()["start"] == 80
    assert len(shown(batches)) == 3
    assert len(shown(batches)) == 13
    assert kept.state_after(1)["start"] == 8
    kept.load_state_dict(kept.state_after(10))
    for epoch, done in ((0, 10), (0, 0), (1, 0)):
        kept.set_epoch(epoch)
        assert kept.state_after(0)["start"] == 8 * done
        alone = stream()
        alone.set_epoch(epoch)
        assert shown(batches) == shown(alone)[done:]


def test_a_state_fits_another_number_of_ranks():
    whole = shown(stream(batch_size=16))
    state = stream(rank=1, world=2).state_after(3)
    again = stream(batch_size=16)
    again.load_state_dict(state)
    assert shown(again) == whole[3:]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("done", [0, 5, 13])
def test_torchdatas_loader_keeps_the_place(workers, done):
    first = loader(stream(), workers, StatefulDataLoader)
    batches = iter(first)
    whole = shown(stream())
    assert shown([next(batches) for _ in range(done)]) == whole[:done]
    if done == 13:
        assert list(batches) == []
    state = first.state_dict()
    again = loader(stream(), workers, StatefulDataLoader)
    again.load_state_dict(state)
    # An epoch that was done is followed by a whole one.
    assert shown(again) == (whole if done == 13 else whole[done:])
    assert shown(again) == whole


def test_a_state_of_something_else_is_refused():
    state = stream().state_after(1)
    with pytest.raises(ResumeError, match="seed 0, and here it is 1"):
        stream(seed=1).load_state_dict(state)
    with pytest.raises(ResumeError, match="count 100, and here it is 50"):
        as_stream(Numbers(50), FLIP, batch_size=8).load_state_dict(state)
    with pytest.raises(ResumeError, match="no 'taken'"):
        stream().load_state_dict({name: value for name, value in state.items() if name != "taken"})
    other = as_stream(Numbers(), Pipeline.read({"sample": ["grey"]}, seed=3), batch_size=8)
    with pytest.raises(ResumeError, match="with pipeline '"):
        other.load_state_dict(state)
    with pytest.raises(ResumeError, match="pipeline_seed 3, and here it is 4"):
        as_stream(Numbers(), replace(FLIP, seed=4), batch_size=8).load_state_dict(state)
    of_worker = {**state, "taken": 1, "workers": 2}
    with pytest.raises(ResumeError, match="batch_size 8, and here it is 4"):
        stream(batch_size=4).load_state_dict(of_worker)
    with pytest.raises(ResumeError, match="world 1, and here it is 2"):
        stream(rank=0, world=2).load_state_dict(of_worker)
    two = stream()
    two.load_state_dict(of_worker)
    with pytest.raises(ResumeError, match="one of 2 workers and there are 1"):
        next(iter(two))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is a whole number from 1"),
        ({"batch_size": True}, "batch_size is a whole number from 1"),
        ({"rank": 2, "world": 2}, "rank 2 is none of 2"),
        ({"rank": 1}, "both rank and world"),
        ({"batch_size": 64, "rank": 0, "world": 2, "drop_last": True}, "do not fill a batch"),
        ({"seed": -1}, "out of range"),
        ({"ids": "position"}, "not 'position'"),
        ({"ids": [1, 2]}, "2 ids were given for a data set of 100"),
        ({"channels": 5}, "1 to 4 channels"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        stream(**options)


def test_an_iterable_set_of_a_user_is_augmented_as_the_map_style_one_is():
    whole = as_torch(Numbers(10), FLIP)
    images = torch.stack([image for image, _ in whole.__getitems__(range(10))])
    made = list(loader(as_stream(Endless(), FLIP, batch_size=4), 1))
    assert [len(labels) for _, labels in made] == [4, 4, 2]
    assert torch.equal(torch.cat([batch for batch, _ in made]), images)
    by_user = as_stream(Endless(), FLIP, batch_size=10, ids=lambda item: item[1])
    assert not torch.equal(next(iter(by_user))[0], images)
    mixing = Pipeline.read({"batch": ["mixup"]})
    with pytest.raises(UsageError, match="no positions to take partners from"):
        as_stream(Endless(), mixing, batch_size=4)
    with pytest.raises(UsageError, match="have no positions"):
        as_stream(Endless(), FLIP, batch_size=4, ids=[1, 2])
    with pytest.raises(UsageError, match="as_stream takes an IterableDataset"):
        as_torch(Endless(), FLIP)
    for unused in ({"drop_last": True}, {"seed": 1}, {"rank": 0, "world": 2}):
        with pytest.raises(UsageError, match=f"{next(iter(unused))}=.* does nothing for an iterable"):
            as_stream(Endless(), FLIP, batch_size=4, **unused)


@pytest.mark.parametrize("dataset", [Endless, Stateful])
def test_an_iterable_set_of_a_user_goes_on_where_it_was(dataset):
    whole = shown(as_stream(dataset(), FLIP, batch_size=4))
    first = loader(as_stream(dataset(), FLIP, batch_size=4), 0, StatefulDataLoader)
    assert shown([next(iter(first))]) == whole[:1]
    inner = dataset()
    stream = as_stream(inner, FLIP, batch_size=4)
    again = loader(stream, 0, StatefulDataLoader)
    again.load_state_dict(first.state_dict())
    assert shown(again) == whole[1:]
    if dataset is Stateful:
        assert inner.read[0] == 4
    with pytest.raises(ResumeError, match="none of this stream"):
        stream.load_state_dict({"taken": 1})
    with pytest.raises(ResumeError, match="batch_size 4, and here it is 2"):
        as_stream(inner, FLIP, batch_size=2).load_state_dict(stream.state_dict())


@pytest.mark.parametrize("stay", [False, True])
def test_an_iterable_set_is_told_each_epoch_in_its_worker_and_goes_on_in_one_pass_alone(stay):
    kept = as_stream(Endless(), FLIP, batch_size=4)
    batches = loader(kept, 1, persistent_workers=stay)
    kept.load_state_dict(kept.state_after(1))
    for epoch, done in ((0, 1), (0, 0), (2, 0)):
        kept.set_epoch(epoch)
        assert [label for _, labels in shown(batches) for label in labels] == [
            *range(10 * epoch + 4 * done, 10 * epoch + 10)
        ]
    kept.load_state_dict(kept.state_after(2))
    kept.set_epoch(1)
    assert len(shown(batches)) == 3
    with pytest.raises(UsageError, match="keep state_after"):
        kept.state_dict()
    if stay:
        kept.load_state_dict({**kept.state_after(1), "inner": {"next": 4}})
        with pytest.raises(ResumeError, match="does not reach workers that are there already"):
            next(iter(batches))
    next(iter(loader(kept, 2)))
    with pytest.raises(UsageError, match="2 workers each read the data set"):
        kept.state_after(1)
