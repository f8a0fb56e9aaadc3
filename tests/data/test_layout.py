import io
import json
import tarfile

import torch

from synth.batch import Batch, Fingerprint
from synth.data.layout import write_tar


def batch(count, classes=("cat", "кот"), start=0):
    return Batch(
        images=torch.arange(count * 12, dtype=torch.uint8).reshape(count, 3, 2, 2),
        labels=None if classes is None else torch.arange(count) % len(classes),
        index=torch.arange(start, start + count),
        seed=3,
        fingerprint=Fingerprint("pets@2", "ab" * 32, "2.11", "cpu", "32", "fast"),
        classes=classes,
    )


def written_by_tarfile(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def test_a_tar_is_byte_for_byte_what_tarfile_writes():
    for samples in (batch(1), batch(7, classes=None), batch(40, start=2**62)):
        buffer = io.BytesIO()
        write_tar(buffer, [samples])
        with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar}
        assert len(members) == len(samples) * (2 if samples.labels is None else 3)
        assert buffer.getvalue() == written_by_tarfile(members)


def test_members_of_a_sample_lie_side_by_side():
    buffer = io.BytesIO()
    write_tar(buffer, [batch(2)])
    with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as tar:
        names = tar.getnames()
        record = json.load(tar.extractfile(names[5]))
    assert names == [f"{key:012d}.{kind}" for key in (0, 1) for kind in ("png", "cls", "json")]
    assert (record["label"], record["label_name"], record["index"]) == (1, "кот", 1)


def test_an_index_beyond_twelve_digits_keeps_its_digits():
    buffer = io.BytesIO()
    write_tar(buffer, [batch(1, start=2**62)])
    with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as tar:
        assert tar.getnames()[0] == f"{2**62}.png"
