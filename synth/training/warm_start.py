"""Starting from the weights of an earlier model instead of from random ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from synth.artifacts import Artifact, Origin, TrainingIds
from synth.artifacts.files import replace_file, storage_errors
from synth.data import ImageSet
from synth.errors import ConfigError, ResumeError
from synth.families import get_family
from synth.text import brief, plural, some
from synth.training.module import FamilyModule
from synth.training.runs import Run

_IDS_FILE = "origin_ids.safetensors"


def start_from(module: FamilyModule, artifact: Artifact, classes: Sequence[str] | None) -> str:
    """Give network and average the artifact's weights, as far as they fit; tell what was taken.

    A tensor of the same shape is taken. Of one with a row for each class, the rows of classes of the same
    name are taken, in whatever order they are; those of new classes stay as they are.

    Raises:
        ConfigError: another family, another network (with the differences), or no tensor that fits.
    """
    manifest = artifact.manifest
    _check_network(module, artifact)
    rows = _class_rows(module)
    earlier = artifact.weights()
    names = _Names(tuple(manifest.classes or ()), tuple(classes or ()))
    taken, fresh = [], []
    for name, own in module.network.state_dict().items():
        fitting = _fitting(own, earlier.get(name), rows.get(name), names)
        if fitting is None:
            fresh.append(name)
            continue
        taken.append(name)
        for network in (module.network, module.average):
            with torch.no_grad():
                network.state_dict()[name].copy_(fitting)
    if not taken:
        raise ConfigError(
            f"Nothing of {manifest.reference} fits: no tensor has the shape of one of this network. Train "
            "without --from."
        )
    module.begin_from(earlier, manifest.network)
    return _describe(module, manifest.reference, taken, fresh, names)


def remember_origin(run: Run, artifact: Artifact) -> dict[str, Any]:
    """Keep in the run what its model will say of its origin, which may be removed; fields of run.json."""
    with storage_errors("remember the origin", run.path):
        replace_file(run.path / _IDS_FILE, artifact.training_ids().to_bytes())
    manifest = artifact.manifest
    return {
        "origin": {"reference": manifest.reference, "digest": manifest.digest},
        "origin_path": str(artifact.path.absolute()),
    }


def origin_of(run: Run) -> tuple[Origin | None, TrainingIds]:
    """The model that a run started from, and the images which that was trained on; None and none without.

    Raises ResumeError where the file with these is damaged or gone.
    """
    record = run.record()
    if record.get("origin") is None:
        return None, TrainingIds.of(())
    try:
        ids = TrainingIds.from_bytes((run.path / _IDS_FILE).read_bytes())
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ResumeError(
            f"{run.path / _IDS_FILE} cannot be read ({brief(error)}). Start a new run with --fresh."
        ) from error
    return Origin.model_validate(record["origin"]), ids


def origin_artifact(run: Run) -> Artifact | None:
    """The model that a run starts from, if it does; ArtifactError where it is gone."""
    path = run.record().get("origin_path")
    return None if path is None else Artifact.open(Path(path))


def seen_before(ids: TrainingIds, validation: ImageSet, reference: str) -> str | None:
    """A warning where images to measure on have been trained on by the earlier model already."""
    count = int(ids.contains(validation.ids).sum())
    if not count:
        return None
    return (
        f"{count:,} of the {plural(len(validation), 'validation image')} were trained on by {reference}: the "
        "figures on them will flatter the new model. Measure it on other images (synth evaluate)."
    )


@dataclass(frozen=True)
class _Names:
    """Class names by number, of the earlier model and of the new one."""

    earlier: tuple[str, ...]
    own: tuple[str, ...]

    @property
    def shared(self) -> list[str]:
        return [name for name in self.own if name in self.earlier]

    @property
    def new(self) -> list[str]:
        return [name for name in self.own if name not in self.earlier]


def _check_network(module: FamilyModule, artifact: Artifact) -> None:
    manifest = artifact.manifest
    if manifest.family != module.family:
        raise ConfigError(
            f"{manifest.reference} is of the family {manifest.family!r}, and this trains {module.family!r}. "
            f"Start from a model of that family, or train {manifest.family}."
        )
    own = module.network_config()
    differences = [
        f"{name}: {manifest.network.get(name)} there, {own.get(name)} here"
        for name in sorted({*manifest.network, *own})
        if name not in module.optional_parts and manifest.network.get(name) != own.get(name)
    ]
    if differences:
        raise ConfigError(
            f"The network of {manifest.reference} is another one: {some(differences, 8)}. Set the same with "
            "--preset or --set, or train without --from."
        )


def _class_rows(module: FamilyModule) -> dict[str, int]:
    """By name of the tensor: the dimension that has a row for each class.

    Found by what grows with one class more, so that no family has to tell.
    """
    if not module.classes:
        return {}
    build = get_family(module.family).load("network")
    with torch.device("meta"):  # nothing is allocated
        larger: nn.Module = build(module.network_config(), module.image, module.classes + 1)
    found = {}
    for name, tensor in larger.state_dict().items():
        here = module.network.state_dict()[name].shape
        grown = [axis for axis, (a, b) in enumerate(zip(here, tensor.shape, strict=True)) if b == a + 1]
        if grown:
            found[name] = grown[0]
    return found


def _fitting(own: Tensor, earlier: Tensor | None, axis: int | None, names: _Names) -> Tensor | None:
    """What to put in the place of ``own``; None where it has to start anew."""
    if earlier is None or earlier.ndim != own.ndim:
        return None
    if axis is None:
        return earlier if earlier.shape == own.shape else None
    # Rows beyond the classes, such as the one of "no label", mean the same in both.
    beyond = own.shape[axis] - len(names.own)
    there = {name: number for number, name in enumerate(names.earlier)}
    pairs = [(number, there[name]) for number, name in enumerate(names.own) if name in there]
    pairs += [(len(names.own) + more, len(names.earlier) + more) for more in range(beyond)]
    expected = list(own.shape)
    expected[axis] = len(names.earlier) + beyond
    if not names.earlier or not pairs or list(earlier.shape) != expected:
        return None
    into, out_of = (torch.tensor(numbers) for numbers in zip(*pairs, strict=True))
    rows = earlier.index_select(axis, out_of).to(own.dtype)
    return own.detach().cpu().clone().index_copy_(axis, into, rows)


def _describe(
    module: FamilyModule, reference: str, taken: Sequence[str], fresh: Sequence[str], names: _Names
) -> str:
    parts = [f"Starting from {reference}: {len(taken)} of {len(taken) + len(fresh)} tensors are taken"]
    if names.own and names.earlier:
        parts.append(f"known classes: {some(names.shared, 5) if names.shared else 'none'}")
    helpers = [
        name
        for name, child in module.named_children()
        if name not in ("network", "average") and any(True for _ in child.parameters())
    ]
    anew = {"classes": names.new, "tensors": fresh, "helpers in training": helpers}
    told = [f"{kind} {some(list(which), 5)}" for kind, which in anew.items() if which]
    parts.append(f"new, and starting fresh: {', '.join(told)}" if told else "nothing starts fresh")
    return "; ".join(parts) + "."
