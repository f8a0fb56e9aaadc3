"""What a trained generator makes, as a source to compare with."""

from __future__ import annotations

from synth.artifacts import Artifact
from synth.data.source import ArraySource
from synth.sampling import Sampler


def generated_source(artifact: Artifact, count: int, *, seed: int = 0, device: str = "auto") -> ArraySource:
    """``count`` images in the proportions of the generator's training data; classes as it knows them."""
    sampler = Sampler(artifact, device=device, warmup_seconds=0.0)
    batch = sampler.generate(count, seed=seed)
    name = artifact.manifest.reference
    return ArraySource(
        spec=name,
        kind="generated",
        images=batch.numpy(),
        labels=None if batch.labels is None else batch.labels.cpu().numpy(),
        classes=batch.classes,
        origin=name,
    )
