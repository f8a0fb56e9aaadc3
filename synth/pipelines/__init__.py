"""Pipelines of diffusers that were trained elsewhere: found good, and adopted into the store."""

from synth.pipelines.adopt import adopt
from synth.pipelines.hub import locate

__all__ = ["adopt", "locate"]
