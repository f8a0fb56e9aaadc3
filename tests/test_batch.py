import torch

from synth.batch import Batch, Fingerprint

FINGERPRINT = Fingerprint("pets@1", "0" * 64, "2.11.0", "cpu", "32", "fast")


def make_batch(start: int, count: int, labels: bool = True) -> Batch:
    index = torch.arange(start, start + count)
    return Batch(
        images=(index.reshape(-1, 1, 1, 1) + torch.zeros(1, 3, 2, 4)).to(torch.uint8),
        labels=index % 2 if labels else None,
        index=index,
        seed=7,
        fingerprint=FINGERPRINT,
        classes=("cat", "dog") if labels else None,
        parameters={"temperature": 1.0},
    )


def test_the_length_is_the_number_of_samples():
    assert len(make_batch(0, 5)) == 5


def test_numpy_images_have_their_channels_last():
    batch = make_batch(0, 2)
    batch.images[1, 2, 0, 3] = 200
    array = batch.numpy()
    assert array.shape == (2, 2, 4, 3)
    assert array.dtype.name == "uint8"
    assert array[1, 0, 3, 2] == 200
    assert array.flags.c_contiguous


def test_a_label_is_named_where_there_are_classes():
    assert make_batch(0, 2).label_name(1) == "dog"
    assert make_batch(0, 2, labels=False).label_name(1) is None


def test_parts_of_a_request_join_to_the_whole():
    whole, parts = make_batch(0, 6), [make_batch(0, 1), make_batch(1, 5)]
    joined = Batch.concatenate(parts)
    assert torch.equal(joined.images, whole.images)
    assert torch.equal(joined.labels, whole.labels)
    assert torch.equal(joined.index, whole.index)
    rest = ("seed", "fingerprint", "classes", "parameters")
    assert [getattr(joined, name) for name in rest] == [getattr(whole, name) for name in rest]
    assert Batch.concatenate([make_batch(0, 1, labels=False)] * 2).labels is None


def test_a_fingerprint_is_plain_text_by_name():
    assert FINGERPRINT.as_dict() == {
        "model": "pets@1",
        "digest": "0" * 64,
        "torch": "2.11.0",
        "device": "cpu",
        "precision": "32",
        "mode": "fast",
    }
