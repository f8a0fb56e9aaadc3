"""Any composition of requests makes the same samples: the promise of keys, over random requests."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth.sampling import Sampler
from synth.sampling.prepare import FAST_TOLERANCE
from synth.sampling.rows import Rows

SEEDS = st.one_of(st.integers(0, 3), st.integers(2**63 - 2, 2**63 + 1), st.integers(2**64 - 3, 2**64 - 1))
STARTS = st.one_of(st.integers(0, 100), st.integers(2**62, 2**62 + 5))
TOLERANCE = {"exact": 0, "fast": FAST_TOLERANCE}
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def levels(ours: torch.Tensor, theirs: torch.Tensor) -> int:
    return int((ours.int() - theirs.int()).abs().max())


@pytest.fixture(scope="module", params=["32", "bf16"])
def sampler(request, artifacts) -> Sampler:
    from synth.sampling.device import has_bf16

    if request.param == "bf16" and not has_bf16(torch.device("cpu")):
        pytest.skip("this CPU does not compute in bf16")
    return Sampler(artifacts["toys"], device="cpu", precision=request.param)


@pytest.mark.parametrize("mode", ["exact", "fast"])
@quick
@given(seed=SEEDS, start=STARTS, cuts=st.lists(st.integers(1, 70), min_size=1, max_size=4))
def test_a_request_may_be_cut_anywhere(sampler, mode, seed, start, cuts):
    whole = sampler.generate(sum(cuts), seed=seed, start=start, mode=mode)
    at = 0
    for count in cuts:
        part = sampler.generate(count, seed=seed, start=start + at, mode=mode)
        assert torch.equal(part.labels, whole.labels[at : at + count])
        assert levels(part.images, whole.images[at : at + count]) <= TOLERANCE[mode]
        at += count


@pytest.mark.parametrize("mode", ["exact", "fast"])
@quick
@given(
    requests=st.lists(st.tuples(SEEDS, STARTS, st.integers(1, 20)), min_size=1, max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_samples_of_any_requests_may_be_computed_together_in_any_order(sampler, mode, requests, order):
    works = [sampler.plan(count, seed=seed, start=start, mode=mode) for seed, start, count in requests]
    alone = torch.cat([sampler.run(work.rows, mode, work.parameters) for work in works])
    rows = Rows.join([work.rows for work in works])
    places = list(range(len(rows)))
    order.shuffle(places)
    shuffled = Rows(rows.seed[places], rows.index[places], rows.labels[places])
    together = sampler.run(shuffled, mode, works[0].parameters)
    assert levels(together, alone[places]) <= TOLERANCE[mode]


RESTARTED = """
import sys, json, hashlib
from synth.sampling import Sampler
sampler = Sampler.open(sys.argv[1], device="cpu", precision="32", warmup_seconds=float(sys.argv[2]))
batch = sampler.generate(45, seed=2**64 - 1, start=2**62, mode="exact")
print(json.dumps([hashlib.sha256(batch.numpy().tobytes()).hexdigest(), batch.labels.tolist()]))
"""


def test_exact_bytes_survive_a_restart_and_another_warm_up(artifacts, tmp_path):
    import hashlib

    here = Sampler(artifacts["toys"], device="cpu", precision="32", warmup_seconds=0.0)
    batch = here.generate(45, seed=2**64 - 1, start=2**62, mode="exact")
    environment = {**os.environ, "SYNTH_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RESTARTED, str(artifacts["toys"].path), "0.3"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    digest, labels = json.loads(done.stdout)
    assert digest == hashlib.sha256(np.ascontiguousarray(batch.numpy()).tobytes()).hexdigest()
    assert labels == batch.labels.tolist()
