from __future__ import annotations

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
import torch

from synth.errors import LabelError, UsageError
from synth.randomness import MAX_INDEX
from synth.sampling import Sampler


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (0, "count must be 1 or more, not 0"),
        (-3, "count must be 1 or more, not -3"),
        (1.0, "count must be a whole number, not 1.0"),
        (True, "count must be a whole number, not True"),
        ("2", "count must be a whole number, not '2'"),
        (None, "count must be a whole number"),
        (10**12, "too many for one call; ask for at most 44,739,242 at once"),
        (2**70, "too many for one call"),
    ],
)
def test_a_count_that_cannot_be_is_refused(toys, count, message):
    with pytest.raises(UsageError, match=message):
        toys.generate(count)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1", True, None])
def test_a_seed_that_cannot_be_is_refused(toys, seed):
    with pytest.raises(UsageError, match="seed"):
        toys.generate(1, seed=seed)


@pytest.mark.parametrize("start", [-1, MAX_INDEX - 1, 2**63, 0.0, False])
def test_a_start_that_cannot_be_is_refused(toys, start):
    with pytest.raises(UsageError, match="start"):
        toys.generate(2, start=start)


def test_the_largest_keys_work(toys):
    batch = toys.generate(2, seed=2**64 - 1, start=MAX_INDEX - 2)
    assert batch.index.tolist() == [MAX_INDEX - 2, MAX_INDEX - 1]
    assert torch.equal(toys.generate(1, seed=2**64 - 1, start=MAX_INDEX - 1).labels, batch.labels[1:])


def test_numbers_of_numpy_are_numbers(toys):
    batch = toys.generate(np.int64(2), seed=np.uint64(7), start=np.int32(3), spread=np.float32(0.5))
    assert type(batch.seed) is int
    assert batch.parameters == {"spread": 0.5, "strength": 1.0}
    assert torch.equal(batch.images, toys.generate(2, seed=7, start=3, spread=Fraction(1, 2)).images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "quick"}, "There is no mode 'quick'; use fast or exact"),
        ({"mode": None}, "There is no mode None"),
        ({"spred": 1.0}, r"no parameter 'spred' \(did you mean 'spread'\?\)\. Parameters: spread, strength"),
        ({"spread": 2.5}, "spread must be a number from 0 to 2, not 2.5"),
        ({"spread": float("nan")}, "spread must be a number from 0 to 2, not nan"),
        ({"spread": float("inf")}, "spread must be"),
        ({"spread": "1"}, "spread must be"),
        ({"spread": True}, "spread must be"),
        ({"spread": None}, "spread must be"),
        ({"spread": 1j}, "spread must be"),
    ],
)
def test_a_mode_or_parameter_that_cannot_be_is_refused(toys, options, message):
    with pytest.raises(UsageError, match=message):
        toys.generate(1, **options)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("balanced", [1, 2, 0, 1]),
        ("kind1", [1, 1, 1, 1]),
        (2, [2, 2, 2, 2]),
        ({"kind2": 3, "kind0": 1}, [2, 2, 2, 0]),
        ("kind2=3,kind0=1", [2, 2, 2, 0]),
        (["kind0", 1, "2", np.int64(0)], [0, 1, 2, 0]),
        (torch.tensor([0, 1, 2, 0]), [0, 1, 2, 0]),
        (np.array([0, 1, 2, 0]), [0, 1, 2, 0]),
    ],
)
def test_labels_are_asked_for_in_any_of_these_forms(toys, labels, expected):
    batch = toys.generate(4, labels=labels, start=1)
    assert batch.labels.tolist() == expected
    assert batch.labels.dtype == torch.int64
    assert [batch.label_name(row) for row in range(4)] == [f"kind{label}" for label in expected]


def test_any_label_follows_the_training_data_and_the_key(toys, monkeypatch):
    monkeypatch.setattr(toys, "_counts", [300, 100, 0])
    labels = toys.generate(400, seed=1).labels
    assert torch.bincount(labels, minlength=3).tolist() == pytest.approx([300, 100, 0], abs=30)
    assert torch.equal(toys.generate(5, seed=1, start=50).labels, labels[50:55])


@pytest.mark.parametrize("labels", ["kind9", 3, -1, {"kind0": 1}, ["kind0"], 1.5, True, None, "kind0=x"])
def test_labels_that_the_model_does_not_have_are_refused(toys, labels):
    with pytest.raises(LabelError):
        toys.generate(2, labels=labels)


@pytest.mark.parametrize("labels", ["balanced", "kind0", 0, [0, 0], {"kind0": 2}])
def test_a_model_without_classes_takes_no_labels(plain, labels):
    assert plain.generate(2).labels is None
    with pytest.raises(LabelError, match="trained without labels"):
        plain.generate(2, labels=labels)


def test_the_label_decides_the_image(toys):
    first, second = (toys.generate(3, labels=label).images for label in (0, 1))
    assert not torch.equal(first, second)


def test_spread_zero_gives_the_centres_alone(plain):
    images = plain.generate(50, spread=0.0).images
    assert len(torch.unique(images, dim=0)) <= 2  # the components
    assert len(torch.unique(plain.generate(50).images, dim=0)) == 50


def test_a_stream_goes_on_where_it_was(toys):
    whole = toys.generate(15, labels="balanced", seed=2, start=4, mode="exact")
    batches = list(islice(toys.stream(batch_size=5, labels="balanced", seed=2, start=4, mode="exact"), 3))
    assert torch.equal(torch.cat([batch.images for batch in batches]), whole.images)
    assert torch.equal(torch.cat([batch.index for batch in batches]), whole.index)
    assert torch.equal(torch.cat([batch.labels for batch in batches]), whole.labels)


@pytest.mark.parametrize(("name", "channels"), [("toys", 1), ("plain", 3)])
def test_numpy_has_the_channels_last(request, name, channels):
    batch = request.getfixturevalue(name).generate(3)
    array = batch.numpy()
    assert (array.dtype, array.shape[0], array.shape[3]) == (np.uint8, 3, channels)
    np.testing.assert_array_equal(array, batch.images.numpy().transpose(0, 2, 3, 1))


def test_the_fingerprint_says_what_made_a_batch(toys, artifacts):
    fingerprint = toys.generate(1, mode="exact").fingerprint
    assert fingerprint == toys.fingerprint("exact")
    assert fingerprint.as_dict() == {
        "model": "toys@1",
        "digest": artifacts["toys"].manifest.digest,
        "torch": torch.__version__,
        "device": "cpu",
        "precision": "32",
        "mode": "exact",
    }


def test_sampling_leaves_torchs_generator_alone(toys):
    before = torch.get_rng_state()
    toys.generate(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_explains_itself_as_plain_data(toys):
    explained = toys.explain()
    assert (explained["device"], explained["precision"]) == ("cpu", "32")
    assert explained["model"]["name"] == "toys"


class TestTranslate:
    def images(self, sampler: Sampler, count: int = 2) -> torch.Tensor:
        return sampler.generate(count).images

    def test_strength_zero_is_the_reconstruction(self, toys):
        images = self.images(toys)
        first, second = (toys.translate(images, labels=1, seed=seed, strength=0.0).images for seed in (1, 2))
        assert torch.equal(first, second)
        assert not torch.equal(first, toys.translate(images, labels=1, seed=1, strength=5.0).images)

    def test_labels_say_what_the_images_show(self, toys):
        assert toys.translate(self.images(toys), labels=["kind2", 0]).labels.tolist() == [2, 0]
        with pytest.raises(UsageError, match=r"toys@1 has classes; say with labels what the images show"):
            toys.translate(self.images(toys))

    def test_a_model_without_classes_takes_none(self, plain):
        assert plain.translate(self.images(plain)).labels is None
        with pytest.raises(LabelError, match="trained without labels"):
            plain.translate(self.images(plain), labels=0)

    def test_arrays_that_torch_cannot_look_into_are_copied(self, plain):
        images = self.images(plain)
        array = np.ascontiguousarray(images.numpy().transpose(0, 2, 3, 1))
        expected = plain.translate(images).images
        array.flags.writeable = False
        assert torch.equal(plain.translate(array).images, expected)
        turned = np.ascontiguousarray(array[:, ::-1])[:, ::-1]
        assert torch.equal(plain.translate(turned).images, expected)

    @pytest.mark.parametrize(
        "images",
        [
            torch.zeros(2, 3, 8, 8),
            torch.zeros(3, 8, 8, dtype=torch.uint8),
            torch.zeros(2, 8, 8, 3, dtype=torch.uint8),
            torch.zeros(2, 3, 9, 8, dtype=torch.uint8),
            torch.zeros(0, 3, 8, 8, dtype=torch.uint8),
            np.zeros((2, 8, 8, 3)),
            np.zeros((8, 8, 3), np.uint8),
            np.zeros((2, 3, 8, 8), np.uint8),
            np.zeros((2, 8, 8, 3), object),
        ],
        ids=lambda images: f"{type(images).__name__}-{images.dtype}-{list(images.shape)}",
    )
    def test_images_of_another_kind_are_refused_with_what_is_wanted(self, plain, images):
        with pytest.raises(UsageError, match=r"plain@1 translates .*uint8.*8.*; these are "):
            plain.translate(images)

    def test_what_is_no_array_is_refused(self, plain):
        with pytest.raises(UsageError, match="Images are a tensor or a numpy array, not list"):
            plain.translate([[0]])
