"""Generate and translate data sets on disk: a plan, its shards, and the loop that makes them."""

from synth.offline.generate import generate_dataset, run_shard
from synth.offline.plan import Plan, Shard, make_plan, shards
from synth.offline.translate import translate_dataset, translate_shard
from synth.offline.translation_plan import TranslationPlan, make_translation_plan

__all__ = [
    "Plan",
    "Shard",
    "TranslationPlan",
    "generate_dataset",
    "make_plan",
    "make_translation_plan",
    "run_shard",
    "shards",
    "translate_dataset",
    "translate_shard",
]
