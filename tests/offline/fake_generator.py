"""A generator that is a pure function of keys, and a process that uses it until it is killed.

python fake_generator.py OUT FORMAT SHARDS SIGNAL: generate the data set of ``make``, sending this process the
signal after so many shards.
"""

import os
import signal
import sys
from dataclasses import dataclass

import torch

from synth.batch import Batch, Fingerprint
from synth.labels import resolve_labels
from synth.models.program import Parameter
from synth.randomness import bits, stream_id


@dataclass(frozen=True)
class FakeCard:
    classes: tuple[str, ...] | None
    reference: str = "pets@2"
    digest: str = "cd" * 32
    family: str = "vae"


class FakeGenerator:
    """As much of the Generator protocol as data sets need; remembers the labels that it was asked for."""

    parameters = (Parameter("temperature", 1.0, 0.0, 10.0, "how wild"),)

    def __init__(self, classes=("cat", "dog")):
        self.card = FakeCard(classes)
        self.asked = []

    def generate(self, count, *, labels="any", seed=0, start=0, mode="fast", **parameters):
        self.asked.append(labels)
        index = torch.arange(start, start + count)
        pixels = bits(seed, index, stream_id("fake"), 3 * 4 * 4) & 255
        return Batch(
            images=pixels.to(torch.uint8).reshape(count, 3, 4, 4),
            labels=resolve_labels(
                labels, classes=self.card.classes, index=index, seed=seed, proportions=[0.9, 0.1]
            ),
            index=index,
            seed=seed,
            fingerprint=Fingerprint(self.card.reference, self.card.digest, "2.11", "cpu", "32", mode),
            classes=self.card.classes,
            parameters={"temperature": 1.0, **parameters},
        )


def make(out, format_name, *, resume=False, progress=None):
    from synth.offline import generate_dataset, make_plan

    generator = FakeGenerator()
    plan = make_plan(generator.card, 23, labels="cat=11,dog=12", seed=5, format=format_name, shard_size=5)
    return generate_dataset(generator, plan, out, resume=resume, progress=progress)


if __name__ == "__main__":
    out, format_name, shards, signal_name = sys.argv[1:]

    def progress(done, total):
        if done == 5 * int(shards):
            os.kill(os.getpid(), signal.Signals[signal_name])

    make(out, format_name, progress=progress)
