from __future__ import annotations

import pytest
import torch

from synth.batch import Batch, Fingerprint
from synth.data import load_images, open_source
from synth.data.writers import open_writer


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("classes", [("cat", "dog"), None])
@pytest.mark.parametrize("form", ["imagefolder", "npz"])
def test_a_generated_data_set_is_a_source(tmp_path, form, classes, channels):
    images = torch.randint(0, 256, (6, channels, 8, 9), generator=torch.Generator().manual_seed(0)).byte()
    batch = Batch(
        images=images,
        labels=torch.arange(6) // 3 if classes else None,
        index=torch.arange(6),
        seed=1,
        fingerprint=Fingerprint("pets@2", "ab" * 32, "2.11", "cpu", "32", "fast"),
        classes=classes,
        parameters={},
    )
    with open_writer(form, tmp_path / "out", plan={"model": "pets@2"}) as writer:
        writer.write(batch)
    loaded = load_images(open_source(tmp_path / "out"))
    assert torch.equal(loaded.images, images)
    assert loaded.classes == classes
    assert loaded.class_counts == ([3, 3] if classes else None)
