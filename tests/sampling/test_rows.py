"""Samples of many requests in one bucket, and those that nobody waits for any more."""

from __future__ import annotations

import torch

from synth.randomness import normals, seed_word
from synth.sampling.rows import Rows
from tests.sampling.toys import stepping_core

SEEDS = (0, 7, 2**63, 2**64 - 1)


def test_each_row_has_the_noise_of_its_own_seed():
    index = torch.tensor([5, 0, 2**62, 5])
    words = torch.tensor([seed_word(seed) for seed in SEEDS])
    together = normals(words, index, 3, 10)
    for row, seed in enumerate(SEEDS):
        assert torch.equal(together[row], normals(seed, index[row : row + 1], 3, 10)[0])


def test_requests_that_share_a_bucket_get_the_bytes_they_would_get_alone():
    core = stepping_core()
    parts = [Rows.of(seed, torch.arange(n, 2 * n), torch.arange(n) % 4) for n, seed in enumerate(SEEDS, 3)]
    together = core.run(Rows.join(parts), "exact", core.defaults)
    alone = torch.cat([core.run(part, "exact", core.defaults) for part in parts])
    assert torch.equal(together, alone)


def test_rows_that_nobody_wants_are_left_out_of_the_next_steps():
    core = stepping_core()
    rows = core.sample_rows(8)
    everything = core.run(rows, "fast", core.defaults)
    core.program.seen.clear()
    answers = iter([None, torch.tensor([True] * 3 + [False] * 5)])
    mask = torch.tensor([True] * 8)

    def wanted():
        nonlocal mask
        mask = next(answers, mask)
        return mask

    pixels = core.run(rows, "fast", core.defaults, wanted)
    assert core.program.seen == [core.exact_bucket, 3, 3]
    assert (pixels[:3].int() - everything[:3].int()).abs().max() <= 1


def test_exact_keeps_its_bucket_until_nobody_is_left():
    core = stepping_core()
    rows = core.sample_rows(4)
    everything = core.run(rows, "exact", core.defaults)
    core.program.seen.clear()
    pixels = core.run(rows, "exact", core.defaults, lambda: torch.tensor([False, True, False, False]))
    assert set(core.program.seen) == {core.exact_bucket}
    assert torch.equal(pixels[1], everything[1])
    core.program.seen.clear()
    answers = iter([None])
    core.run(rows, "exact", core.defaults, lambda: next(answers, torch.tensor([False] * 4)))
    assert len(core.program.seen) == 1


def test_nothing_is_computed_for_a_bucket_that_nobody_wants():
    core = stepping_core()
    core.program.seen.clear()
    count = 2 * core.exact_bucket
    mask = torch.arange(count) >= core.exact_bucket
    core.run(core.sample_rows(count), "exact", core.defaults, lambda: mask)
    assert core.program.seen == [core.exact_bucket] * 3
