"""The shared sampler core: a trained generator on one device, and the keyed samples it makes."""

from synth.sampling.device import resolve_device, resolve_precision
from synth.sampling.generator import Generator
from synth.sampling.sampler import Sampler

__all__ = ["Generator", "Sampler", "resolve_device", "resolve_precision"]
