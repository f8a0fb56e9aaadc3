"""Generate, translate and augment data sets on disk: a plan, its shards, and the loop that makes them."""

from synth.offline.augment import AugmentationPlan, augment_dataset, make_augmentation_plan
from synth.offline.generate import generate_dataset, run_shard
from synth.offline.plan import Plan, Shard, make_plan, shards
from synth.offline.translate import translate_dataset, translate_shard
from synth.offline.translation_plan import TranslationPlan, make_translation_plan

__all__ = [
    "AugmentationPlan",
    "Plan",
    "Shard",
    "TranslationPlan",
    "augment_dataset",
    "generate_dataset",
    "make_augmentation_plan",
    "make_plan",
    "make_translation_plan",
    "run_shard",
    "shards",
    "translate_dataset",
    "translate_shard",
]
