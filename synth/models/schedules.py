"""Schedulers of diffusers as pure functions: what they remember between steps travels with the samples.

A scheduler object counts its steps and keeps earlier outputs, so that it cannot be shared between requests,
nor stopped and gone on with in another batch. Here each step gets an object of its own: its numbers come
from a rehearsal with a single value in place of images, for they depend on nothing but the step; its tensors
of one row per sample come from the program's state.
"""

from __future__ import annotations

import copy
import inspect
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from synth.errors import UsageError
from synth.models.program import State
from synth.randomness import normals, stream_id
from synth.text import brief

SCHEDULERS: dict[str, str] = {
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "dpm-solver": "DPMSolverMultistepScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler-ancestral": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "lcm": "LCMScheduler",
    "lms": "LMSDiscreteScheduler",
    "pndm": "PNDMScheduler",
    "unipc": "UniPCMultistepScheduler",
}
"""Class in diffusers by the name that requests use."""

_STREAM = stream_id("noise/scheduler")
_PREFIX = "scheduler/"
_LEARNED = ("learned", "learned_range")


class KeyedNoise(TorchFunctionMode):
    """While it is entered, ``torch.randn`` of this thread draws each row by its key and the step."""

    def __init__(self, seed: Tensor, step: int) -> None:
        """``seed``: int64 [N], one for each row."""
        super().__init__()
        self._seed, self._step = seed, step

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.randn:
            return func(*args, **(kwargs or {}))
        shape = args[0] if args else kwargs["size"]
        index = torch.full_like(self._seed, self._step)
        return normals(self._seed, index, _STREAM, math.prod(shape[1:])).reshape(shape)


@dataclass(frozen=True)
class Schedule:
    """One scheduler's way through a number of steps; ``make_schedule`` is cached."""

    name: str
    config: str
    """JSON."""
    steps: int
    timesteps: Tensor
    """float32 or int64 [T], on the CPU. T may be more than ``steps``: some call the network twice for one."""
    order: int

    def first(self, strength: float) -> int:
        """The step at which a path begins that goes back so far from an image: 0 for all, T for none."""
        back = min(int(self.steps * strength), self.steps)
        return min(self.order * (self.steps - back), len(self.timesteps)) if back else len(self.timesteps)

    def at(self, begin: int, i: int) -> Any:
        """The scheduler as it is before step ``i`` of a path from ``begin``; to be copied, never changed."""
        return _rehearsal(self.name, self.config, self.steps, begin)[i - begin]

    def scale(self, begin: int, i: int, x: Tensor) -> Tensor:
        """x, float32 [N, C, H, W], as the network expects it at step ``i``."""
        scaled: Tensor = _own(self.at(begin, i)).scale_model_input(x, self.timesteps[i])
        return scaled

    def noised(self, begin: int, x: Tensor, noise: Tensor) -> Tensor:
        """A clean x with as much noise as step ``begin`` expects."""
        times = self.timesteps[begin : begin + 1].expand(len(x))
        noised: Tensor = _own(self.at(begin, begin)).add_noise(x, noise, times)
        return noised

    @property
    def sigma(self) -> float:
        """Deviation of the noise that a path begins from."""
        return float(self.at(0, 0).init_noise_sigma)

    def step(self, begin: int, i: int, output: Tensor, state: State, seed: Tensor) -> State:
        """The state after step ``i``: ``x``, and what the scheduler remembers of these samples."""
        scheduler = _own(self.at(begin, i))
        _put(scheduler, state)
        with KeyedNoise(seed, i):
            x = scheduler.step(output, self.timesteps[i], state["x"], return_dict=False)[0]
        kept = {name: tensor for name, tensor in state.items() if not name.startswith(_PREFIX)}
        return {**kept, **_take(scheduler), "x": x.float()}


def make_schedule(name: str, config: Mapping[str, Any], steps: int) -> Schedule:
    """The schedule of a scheduler, by its name in ``SCHEDULERS``, with any other's configuration.

    Raises UsageError where it cannot go through so many steps.
    """
    return _schedule(name, json.dumps(dict(config), sort_keys=True), steps)


@lru_cache(maxsize=256)
def _schedule(name: str, config: str, steps: int) -> Schedule:
    scheduler = _new(name, config, steps)
    return Schedule(name, config, steps, scheduler.timesteps, int(getattr(scheduler, "order", 1)))


def _new(name: str, config: str, steps: int) -> Any:
    import diffusers

    kind = getattr(diffusers, SCHEDULERS[name])
    known = inspect.signature(kind.__init__).parameters
    given = {key: value for key, value in json.loads(config).items() if key in known}
    if given.get("variance_type") in _LEARNED:  # the network's guess of it is cut off
        given["variance_type"] = "fixed_small"
    try:
        scheduler = kind(**given)
        scheduler.set_timesteps(steps)
    except (ValueError, ArithmeticError, LookupError, NotImplementedError) as error:
        raise UsageError(
            f"The scheduler {name} cannot make {steps} steps here ({brief(error)}). Set other steps, or "
            f"another scheduler: {', '.join(SCHEDULERS)}."
        ) from error
    return scheduler


@lru_cache(maxsize=64)
def _rehearsal(name: str, config: str, steps: int, begin: int) -> list[Any]:
    """The scheduler before each step from ``begin`` on, as far as it depends on no image."""
    scheduler = _new(name, config, steps)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    before = []
    x = torch.ones(1, 1, 1, 1)
    for i, time in enumerate(scheduler.timesteps[begin:]):
        before.append(_own(scheduler))
        scheduler.scale_model_input(x, time)
        before[-1].__dict__.update(is_scale_input_called=True)
        with KeyedNoise(torch.zeros(1, dtype=torch.int64), i):
            x = scheduler.step(0.1 * x, time, x, return_dict=False)[0]
    return before or [scheduler]


def _own(scheduler: Any) -> Any:
    """A copy that can be used and changed without any effect on the original."""
    own = copy.copy(scheduler)
    for name, value in vars(own).items():
        if isinstance(value, list):
            setattr(own, name, list(value))
    return own


def _remembered(scheduler: Any) -> dict[str, Tensor]:
    """The tensors of one row per sample that a scheduler holds, by attribute and place in it."""
    found = {}
    for name, value in vars(scheduler).items():
        for place, one in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(one, Tensor) and one.ndim == 4:
                found[f"{_PREFIX}{name}/{place}"] = one
    return found


def _take(scheduler: Any) -> State:
    return _remembered(scheduler)


def _put(scheduler: Any, state: State) -> None:
    """Replace what the rehearsal remembers by what was remembered of these samples."""
    for key in _remembered(scheduler):
        _, name, place = key.split("/")
        value = getattr(scheduler, name)
        if isinstance(value, list):
            value[int(place)] = state[key]
        else:
            setattr(scheduler, name, state[key])
