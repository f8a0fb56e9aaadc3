"""How a pipeline of diffusers makes samples: by steps of a scheduler, with guidance, from noise or images.

Guidance is classifier-free (Ho and Salimans, arXiv 2207.12598). From an image, the path begins where so much
noise is added to it as ``strength`` says (Meng et al., "SDEdit", arXiv 2108.01073).
"""

from __future__ import annotations

import torch
from torch import Tensor

from synth.models.pipeline import Pipeline
from synth.models.program import AnyParameter, NoiseSpec, Parameter, State, TextParameter, Values
from synth.models.schedules import SCHEDULERS, Schedule, make_schedule

CLASS = "{class}"
"""What stands in a prompt for the name of the class."""
_PROBE_STEPS = 2
_GUIDANCE = 7.5
_CLASS_GUIDANCE = 4.0
_STEPS = 50


class DenoisingProgram:
    """A path of as many steps as the scheduler has times.

    A scheduler that draws noise on its way draws it by key: the noise ``path`` is the seed of it. The
    scheduler DDPM, which needs hundreds of steps, is by default replaced by DDIM, which goes the same way
    without noise.
    """

    def __init__(self, network: Pipeline) -> None:
        self.network = network
        self.noise = (NoiseSpec("latents", network.latents), NoiseSpec("path", (2,), "uniform"))
        self.parameters = _parameters(network)

    @property
    def probe(self) -> Values:
        """Parameters to measure with: the defaults, but few steps, which not every scheduler can make."""
        defaults = {parameter.name: parameter.default for parameter in self.parameters}
        return {**defaults, "steps": _PROBE_STEPS, "scheduler": "ddim"}

    def steps(self, parameters: Values) -> int:
        return len(self._schedule(parameters).timesteps)

    def begin(self, noise: dict[str, Tensor], labels: Tensor | None, parameters: Values) -> State:
        x = self._schedule(parameters).sigma * noise["latents"]
        return {"x": x, "seed": _seed(noise["path"]), **self._read(labels, len(x), parameters)}

    def begin_from(
        self, images: Tensor, noise: dict[str, Tensor], labels: Tensor | None, parameters: Values
    ) -> State:
        """Images with noise; the steps before that much of it are passed over."""
        schedule = self._schedule(parameters)
        begin = schedule.first(parameters["strength"])
        x = self.network.encode(images)
        if begin < len(schedule.timesteps):
            x = schedule.noised(begin, x, noise["latents"])
        seed = _seed(noise["path"])
        return {"x": x, "seed": seed, "given": seed, **self._read(labels, len(x), parameters)}

    def step(self, i: int, state: State, labels: Tensor | None, parameters: Values) -> State:
        schedule = self._schedule(parameters)
        begin = schedule.first(parameters["strength"]) if "given" in state else 0
        if i < begin:
            return state
        x = schedule.scale(begin, i, state["x"])
        output = self._guided(x, schedule.timesteps[i], state, labels, parameters)
        return schedule.step(begin, i, output, state, state["seed"])

    def image(self, state: State) -> Tensor:
        return self.network.decode(state["x"]).clamp(-1.0, 1.0)

    def _guided(
        self, x: Tensor, time: Tensor, state: State, labels: Tensor | None, parameters: Values
    ) -> Tensor:
        network, guidance = self.network, parameters.get("guidance", 1.0)
        text = state.get("text")
        if guidance <= 1.0:
            return network.predict(x, time, labels, text)
        if text is not None:
            both = network.predict(x.repeat(2, 1, 1, 1), time, None, torch.cat([state["negative"], text]))
        else:
            assert labels is not None
            none = torch.full_like(labels, network.classes)
            both = network.predict(x.repeat(2, 1, 1, 1), time, torch.cat([none, labels]), None)
        without, towards = both.chunk(2)
        guided: Tensor = without + guidance * (towards - without)
        return guided

    def _read(self, labels: Tensor | None, count: int, parameters: Values) -> State:
        """The prompts of all rows as the text encoder reads them."""
        network = self.network
        if not network.reads_text:
            return {}
        prompt: str = parameters["prompt"]
        if labels is None:
            state = {"text": network.read([prompt]).expand(count, -1, -1)}
        else:
            present, place = torch.unique(labels, return_inverse=True)
            names = [network.names[number] for number in present.tolist()]
            state = {"text": network.read([prompt.replace(CLASS, name) for name in names])[place]}
        if parameters["guidance"] > 1.0:
            state["negative"] = network.read([parameters["negative_prompt"]]).expand(count, -1, -1)
        return state

    def _schedule(self, parameters: Values) -> Schedule:
        config = self.network.scheduler["config"]
        return make_schedule(parameters["scheduler"], config, int(parameters["steps"]))


def _seed(path: Tensor) -> Tensor:
    """int64 [N] from uniforms [N, 2], of which each has 24 bits."""
    words = (path.double() * 2**24).long()
    return words[:, 0] * 2**24 + words[:, 1]


def own_scheduler(kind: str) -> str:
    """The name of the scheduler that a pipeline with this class of one is sampled with."""
    name = next(name for name, known in SCHEDULERS.items() if known == kind)
    return "ddim" if name == "ddpm" else name


def _parameters(network: Pipeline) -> tuple[AnyParameter, ...]:
    times = int(network.scheduler["config"].get("num_train_timesteps", 1_000))
    found: list[AnyParameter] = [
        Parameter(
            "steps", min(_STEPS, times), 1, times, "more are slower and truer", whole=True, structural=True
        ),
        TextParameter(
            "scheduler",
            own_scheduler(network.scheduler["class"]),
            "how the steps are made",
            tuple(SCHEDULERS),
        ),
        Parameter(
            "strength", 0.8, 0.0, 1.0, "translate only: 0 keeps the image, 1 forgets it", structural=True
        ),
    ]
    if network.reads_text or network.classes:
        usual = _GUIDANCE if network.reads_text else _CLASS_GUIDANCE
        meaning = "above 1: truer to prompt or class, less variety, half the speed"
        found.append(Parameter("guidance", usual, 0.0, 50.0, meaning, structural=True))
    if network.reads_text:
        template = bool(network.classes)
        what = f"what to show; {CLASS} stands for the class" if template else "what to show"
        found.append(TextParameter("prompt", network.prompt, what, template=template))
        found.append(TextParameter("negative_prompt", "", "what not to show"))
    return tuple(found)
