"""Trained generators on disk: manifest, weights, model card, and the versioned store that holds them."""

from synth.artifacts.artifact import Artifact as Artifact
from synth.artifacts.card import ModelCard as ModelCard
from synth.artifacts.draft import Draft as Draft
from synth.artifacts.ids import TrainingIds as TrainingIds
from synth.artifacts.manifest import ImageInfo as ImageInfo
from synth.artifacts.manifest import Manifest as Manifest
from synth.artifacts.manifest import Metric as Metric
from synth.artifacts.manifest import Origin as Origin
from synth.artifacts.manifest import TargetInfo as TargetInfo
from synth.artifacts.reference import check_name as check_name
from synth.artifacts.store import Entry as Entry
from synth.artifacts.store import Store as Store
