"""Adversarial examples: images changed as little as a threat model allows, so that a classifier errs."""

from synth.augment.adversarial.gradient import fgsm, pgd
from synth.augment.adversarial.rays import Rays, ray_search, rays, reach
from synth.augment.adversarial.threat import ThreatModel, attack_keys, check_radius, effective_radius

__all__ = [
    "Rays",
    "ThreatModel",
    "attack_keys",
    "check_radius",
    "effective_radius",
    "fgsm",
    "pgd",
    "ray_search",
    "rays",
    "reach",
]
