"""Generate data sets on disk: a plan, its shards, and the loop that makes them."""

from synth.offline.generate import generate_dataset, run_shard
from synth.offline.plan import Plan, Shard, make_plan, shards

__all__ = ["Plan", "Shard", "generate_dataset", "make_plan", "run_shard", "shards"]
