"""Training of the ``flow`` family.

Conditional flow matching: on the straight line from noise to an image, x_t = (1 - t) noise + t image, the
network learns the velocity image - noise by its mean squared error (Lipman et al., arXiv 2210.02747; Liu et
al., arXiv 2209.03003). Times are logit-normal: the middle of the path is the hard part (Esser et al., arXiv
2403.03206). Some labels are left out, for classifier-free guidance (Ho and Salimans, arXiv 2207.12598).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from synth.artifacts import Metric
from synth.data import ImageSet
from synth.models.flow import Flow, Unet
from synth.models.program import NetworkConfig
from synth.randomness import normals, stream_id, uniforms
from synth.training.class_means import mean_images
from synth.training.compiling import compile_in_place
from synth.training.flow_recipe import FlowRecipe
from synth.training.flow_student import Target, student_loss
from synth.training.module import GeneratorModule, OtherWay

_NOISE = stream_id("training/flow/noise")
_TIME = stream_id("training/flow/time")
_CHOICES = stream_id("training/flow/choices")
_CHUNK = 256
_WATCHED = 1_000
_RISE = 0.05


class FlowModule(GeneratorModule):
    """Lightning module of the ``flow`` family: first the velocity is trained, then the student."""

    family = "flow"
    parts_rest = True
    optional_parts = frozenset({"student_calls"})
    recipe: FlowRecipe
    student_since: Tensor
    """Images seen when the student's training began; -1 before."""

    def __init__(self, recipe: FlowRecipe, image: Any, classes: int) -> None:
        super().__init__(recipe, image, classes)
        self.register_buffer("student_since", torch.tensor(-1))
        # Shares the average's weights, but not how it is called.
        velocity = copy.copy(cast(Flow, self.average).velocity)
        self._target = Target(velocity, recipe.student_steps, recipe.student_guidance)

    def network_config(self) -> NetworkConfig:
        fields = {"widths", "blocks", "patch", "attention"}
        return {
            **self.recipe.model_dump(mode="json", include=fields),
            "student_calls": self.recipe.student_calls if self.recipe.student_share > 0 else 0,
        }

    def compile_networks(self) -> None:
        network = cast(Flow, self.network)
        compile_in_place(network.velocity)
        if network.student is not None:
            compile_in_place(network.student)
            compile_in_place(self._target.average, captured=False)

    def begin_from(self, earlier: Mapping[str, Tensor], config: NetworkConfig) -> None:
        """Where the student alone is trained, go on with the earlier one, or start it from the velocity.

        It goes on where that makes as many calls, for one of other calls has learnt other parts of the path.
        """
        if self.recipe.student_share < 1:
            return
        self.student_since.fill_(0)
        # One that was not trained has been published as a copy of the velocity, or not at all.
        students = {
            name.removeprefix("student."): one for name, one in earlier.items() if name.startswith("student.")
        }
        untrained = all(torch.equal(one, earlier[f"velocity.{name}"]) for name, one in students.items())
        if untrained or config["student_calls"] != self.recipe.student_calls:
            self._copy_velocity(cast(Flow, self.network))
            self._copy_velocity(cast(Flow, self.average))

    def loss(
        self, images: Tensor, labels: Tensor | None, position: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of the velocity; in the last part of training, the student's loss."""
        if self.recipe.flip:
            mirrored = uniforms(self.recipe.seed, position, _CHOICES, 2)[:, 1, None, None, None] < 0.5
            images = torch.where(mirrored, images.flip(3), images)
        noise = normals(self.recipe.seed, position, _NOISE, images[0].numel()).view_as(images)
        if not self._student_is_next(position):
            return self._velocity_loss(images, labels, position, noise)
        labels = self._drop(labels, position)
        network = cast(Flow, self.network)
        assert network.student is not None
        loss = student_loss(network.student, network.student_times, self._target, images, noise, labels)
        return loss, {"student": loss}

    def _velocity_loss(
        self, images: Tensor, labels: Tensor | None, position: Tensor, noise: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        recipe = self.recipe
        logits = normals(recipe.seed, position, _TIME, 1)[:, 0]
        times = torch.sigmoid(recipe.time_mean + recipe.time_deviation * logits)
        labels = self._drop(labels, position)
        velocity = cast(Flow, self.network).velocity
        loss = _velocity_error(velocity, images, labels, noise, times).mean()
        return loss, {"velocity": loss}

    def _drop(self, labels: Tensor | None, position: Tensor) -> Tensor | None:
        """Some labels turned into the one that stands for none."""
        if labels is None:
            return None
        dropped = uniforms(self.recipe.seed, position, _CHOICES, 2)[:, 0] < self.recipe.label_dropout
        return torch.where(dropped, self.classes, labels)

    def _student_is_next(self, position: Tensor) -> bool:
        """Whether this step is the student's; in its first one it starts from the averaged velocity."""
        student = cast(Flow, self.network).student
        if student is None:
            return False
        begins = 1.0 - self.recipe.student_share
        if self.progress < begins:  # of a run that was made longer, too: its student begins anew
            self.student_since.fill_(-1)
        elif int(self.student_since) < 0:
            self.student_since.copy_(position[0])
            self._copy_velocity(cast(Flow, self.network))
            self._copy_velocity(cast(Flow, self.average))
        return int(self.student_since) >= 0

    def _copy_velocity(self, network: Flow) -> None:
        if network.student is not None:
            network.student.load_state_dict(cast(Flow, self.average).velocity.state_dict())

    def learning_rate(self) -> float:
        """A warm-up and a cosine for the velocity, and, half as high, for the student."""
        share = self.recipe.student_share
        if int(self.student_since) < 0:
            done = min(1.0, self.progress / max(1.0 - share, 1e-9))
            peak, rise = 1.0, self.recipe.warmup
        else:
            done, peak, rise = max(0.0, 1.0 - (1.0 - self.progress) / share), 0.5, _RISE
        rising = min(1.0, (done + 1e-4) / max(rise, 1e-4))
        return (
            self.recipe.learning_rate * peak * rising * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * done)))
        )

    @torch.no_grad()
    def update_average(self, images_seen: int, batch_size: int) -> None:
        """As for every family, but for the part alone that is in training."""
        average, network, since = cast(Flow, self.average), cast(Flow, self.network), int(self.student_since)
        old, new = (average.velocity, network.velocity)
        if since >= 0 and average.student is not None and network.student is not None:
            old, new = average.student, network.student
        half_life = min(self.recipe.ema_cap, self.recipe.ema_share * (images_seen - max(since, 0)))
        keep = 0.5 ** (batch_size / max(half_life, 1e-8))
        torch._foreach_lerp_(list(old.parameters()), list(new.parameters()), 1.0 - keep)

    def go_back(self, weights: Mapping[str, Tensor]) -> None:
        """To an earlier velocity; a student that has been trained since stays as it is."""
        student = {f"student.{name}": weight for name, weight in self._student_weights().items()}
        super().go_back({**weights, **student} if int(self.student_since) >= 0 else weights)

    def _student_weights(self) -> Mapping[str, Tensor]:
        student = cast(Flow, self.average).student
        return {} if student is None else student.state_dict()

    def other_ways(self) -> Mapping[str, OtherWay]:
        """The student's, once it is trained; before, it is an Euler step."""
        if int(self.student_since) < 0 or not self._student_weights():
            return {}
        remedy = "train it longer, with --set student_share=0.4, or alone: --from this model, student_share=1"
        return {"student_distance": OtherWay({"solver": "student"}, remedy)}

    @torch.no_grad()
    def complete(self, images: ImageSet, limit: int | None = None) -> None:
        """The mean images, where the velocity is trained; a student that is not trained yet walks like it."""
        average = cast(Flow, self.average)
        if self.recipe.student_share < 1:
            means = mean_images(images if limit is None else images.sample(limit), self.classes)
            average.means.copy_(0.5 * (means + means.flip(3)) if self.recipe.flip else means)
        if int(self.student_since) < 0:
            self._copy_velocity(average)

    def measure(self, images: ImageSet, kind: str) -> Mapping[str, Metric]:
        error = self.watch(images)["velocity_error"]
        count = min(len(images), _WATCHED)
        how = f"mean squared error of the velocity at spread times; {count} {kind}, averaged weights"
        return {"velocity_error": Metric(value=error, how=how)}

    @torch.inference_mode()
    def watch(self, images: ImageSet) -> Mapping[str, float]:
        images, errors = images.sample(_WATCHED), []
        for at in range(0, len(images), _CHUNK):
            real = images.images[at : at + _CHUNK].to(self.device).to(torch.float32) / 127.5 - 1.0
            labels = None if images.labels is None else images.labels[at : at + _CHUNK].to(self.device)
            index = torch.arange(at, at + len(real), device=self.device)
            noise = normals(0, index, _NOISE, real[0].numel()).view_as(real)
            times = (index % 64 + 0.5) / 64
            with self.autocast():
                velocity = cast(Flow, self.average).velocity
                errors.append(_velocity_error(velocity, real, labels, noise, times).cpu())
        return {"velocity_error": float(torch.cat(errors).mean())}


def _velocity_error(
    velocity: Unet, images: Tensor, labels: Tensor | None, noise: Tensor, times: Tensor
) -> Tensor:
    """float32 [N]: mean square of v(x_t, t) - (image - noise)."""
    t = times[:, None, None, None]
    found = velocity((1.0 - t) * noise + t * images, times, labels)
    errors: Tensor = (found.float() - (images - noise)).square().mean(dim=(1, 2, 3))
    return errors
