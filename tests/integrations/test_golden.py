"""One digest of 256 samples from every way in: PyTorch, Keras, tf.data, HTTP, and a data set on disk."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys

import numpy as np
import pytest
import torch
import torch.distributed
import torch.multiprocessing
from torch.utils.data import DataLoader, DistributedSampler
from torchvision.transforms import v2

from synth.augment import Partners, Pipeline, Samples
from synth.cli import main
from synth.client import RemotePipeline
from synth.data import open_source
from synth.integrations.torch import as_stream, as_torch, as_transform, collate
from tests.integrations.conftest import digest
from tests.serving.conftest import listen as listen
from tests.serving.conftest import store as store

SAMPLE = [
    {"operation": "crop", "padding": 2, "edge": "reflect"},
    {"operation": "rotate", "probability": 0.5},
    {"one_of": ["gamma", "equalise", "contrast"]},
    "gaussian_noise",
    {"operation": "random_erasing", "probability": 0.5},
]
PLAIN = {"sample": SAMPLE}
MIXED = {
    "sample": SAMPLE,
    "batch": [{"operation": "mixup", "probability": 0.5}, {"operation": "cutmix", "probability": 0.5}],
}
SEED, EPOCH = 11, 1


def pipeline(spec=MIXED):
    return Pipeline.read(spec, seed=SEED)


def originals(source):
    images = np.stack([source[row].image for row in range(len(source))])
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def pairs(batches):
    return [pair for images, labels in batches for pair in zip(images, labels, strict=True)]


def at_epoch(dataset):
    dataset.set_epoch(EPOCH)
    return dataset


def whole(source):
    labels = torch.from_numpy(source.labels.copy())
    return Samples(originals(source), tuple(source.ids), labels, classes=source.info.classes)


@pytest.fixture(scope="module")
def golden(clothes):
    """Digests by what the pipeline does, from the pipeline itself."""
    samples = whole(open_source(clothes))
    partners = Partners(samples.ids, lambda at: samples.part(slice(at, at + 1)), 10)
    made = {
        "plain": pipeline(PLAIN).run(samples, EPOCH),
        "mixed": pipeline().run(samples, EPOCH, partners),
    }
    return {name: digest(zip(one.images, one.labels, strict=True)) for name, one in made.items()}


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes:UserWarning")
@pytest.mark.parametrize(
    ("workers", "start"), [(0, None), (1, "fork"), (4, "fork"), (1, "spawn")], ids=lambda value: str(value)
)
def test_workers_of_any_number_and_kind_in_any_order(source, golden, workers, start):
    order = torch.Generator().manual_seed(workers)
    options = {"num_workers": workers, "multiprocessing_context": start}
    shuffled = DataLoader(
        at_epoch(as_torch(source, pipeline())),
        batch_size=48,
        shuffle=True,
        generator=order,
        collate_fn=collate,
        **options,
    )
    assert digest(pairs(shuffled)) == golden["mixed"]
    if start != "spawn":
        stream = at_epoch(as_stream(source, pipeline(), batch_size=48))
        assert digest(pairs(DataLoader(stream, batch_size=None, **options))) == golden["mixed"]


def one_rank(rank, clothes, folder):
    """As a script that torchrun starts; each rank writes what it got."""
    meeting = f"file://{folder}/ranks"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    source = open_source(clothes)
    stream = at_epoch(as_stream(source, pipeline(), batch_size=32))
    by_map = at_epoch(as_torch(source, pipeline()))
    loader = DataLoader(by_map, batch_size=32, sampler=DistributedSampler(by_map), collate_fn=collate)
    for name, batches in (("stream", stream), ("map", loader)):
        images, labels = zip(*batches, strict=True)
        np.savez(folder / f"{name}{rank}.npz", images=torch.cat(images), labels=torch.cat(labels))
    torch.distributed.destroy_process_group()


def test_two_ranks_together(clothes, golden, tmp_path):
    torch.multiprocessing.start_processes(one_rank, (clothes, tmp_path), nprocs=2, start_method="fork")
    for name in ("stream", "map"):
        assert digest(saved(tmp_path.glob(f"{name}?.npz"))) == golden["mixed"]


def saved(files):
    found = []
    for file in files:
        with np.load(file) as arrays:
            found.append((arrays["images"], arrays["labels"]))
    return pairs(found)


def run(work, *arguments):
    """The exit code of a process that does the work."""
    process = torch.multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    process.join()
    return process.exitcode


def training(clothes, folder, kill_at=None):
    """A loop that keeps what it saw and where it is, and goes on from there."""
    stream = at_epoch(as_stream(open_source(clothes), pipeline(), batch_size=24, seed=5))
    done, place = 0, folder / "place.json"
    if place.exists():
        saved = json.loads(place.read_text())
        done = saved["done"]
        stream.load_state_dict(saved["stream"])
    loader = DataLoader(stream, batch_size=None, num_workers=1)
    for batches, (images, labels) in enumerate(loader, start=1):
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        np.savez(folder / f"{done}.npz", images=images, labels=labels)
        done += 1
        place.write_text(json.dumps({"done": done, "stream": stream.state_after(batches)}))


def augmenting(command, kill_at):
    """``synth augment``, killed before a shard counts as finished."""

    def count(event, arguments):
        if event == "os.rename" and str(arguments[1]).endswith(f"{kill_at:06d}.json"):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    main(command)


def test_a_training_that_is_killed_and_goes_on(clothes, golden, tmp_path):
    assert run(training, clothes, tmp_path, 4) == -signal.SIGKILL
    assert len(list(tmp_path.glob("*.npz"))) == 4
    assert run(training, clothes, tmp_path) == 0
    assert len(list(tmp_path.glob("*.npz"))) == 11
    assert digest(saved(tmp_path.glob("*.npz"))) == golden["mixed"]


def test_a_transform_in_a_pipeline_of_torchvision(source, golden):
    transform = v2.Compose([at_epoch(as_transform(pipeline(PLAIN))), v2.Identity()])
    one_by_one = [transform(image) for image in originals(source)]
    together = at_epoch(as_transform(pipeline(PLAIN)))(originals(source))
    for images in (one_by_one, together):
        assert digest(zip(images, source.labels, strict=True)) == golden["plain"]


def test_a_data_set_on_disk_also_one_that_was_killed(clothes, golden, tmp_path):
    (tmp_path / "pipeline.json").write_text(json.dumps(MIXED))
    command = ["augment", str(tmp_path / "pipeline.json"), "--data", str(clothes), "--copies", "2"]
    command += ["--seed", str(SEED), "--format", "npz", "--shard-size", "100", "--out", str(tmp_path / "out")]
    assert run(augmenting, command, 3) == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".synth-partial"]
    assert main([*command, "--resume"]) == 0
    with np.load(tmp_path / "out" / "data.npz") as made:
        images = made["images"][256:].reshape(256, 1, 28, 28)
        assert digest(zip(images, made["labels"][256:], strict=True)) == golden["mixed"]


def test_a_server(source, golden, listen):
    with RemotePipeline(listen(), MIXED, seed=SEED) as remote:
        made = remote.run(whole(source), EPOCH)
    assert digest(zip(made.images, made.labels, strict=True)) == golden["mixed"]


def channels_first(batches):
    return pairs((np.asarray(images).transpose(0, 3, 1, 2), np.asarray(labels)) for images, labels in batches)


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed")
def test_a_dataset_of_tensorflow(source, golden):
    from synth.integrations.tensorflow import as_tf

    dataset = as_tf(source, pipeline(), batch_size=48, epoch=EPOCH)
    assert digest(channels_first(dataset)) == golden["mixed"]
