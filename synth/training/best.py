"""The best weights of a run so far, by a figure of their samples and not by the loss."""

from __future__ import annotations

import json
from typing import NamedTuple

from safetensors.torch import load, save

from synth.artifacts import Metric
from synth.artifacts.files import replace_file, storage_errors
from synth.evaluation.figures import Estimate
from synth.training.module import FamilyModule
from synth.training.runs import Run
from synth.training.yardstick import Yardstick


class Candidate(NamedTuple):
    """Averaged weights, when they were reached, and their kernel distance with its 95 % interval."""

    images_seen: int
    figure: Estimate


class Best:
    """Keeps the averaged weights whose samples have come closest to the validation images.

    They lie in ``best.safetensors`` beside the state, with the figure in the file's metadata. What a run that
    was stopped had reached later than its last saved state is not counted: it is reached again.
    """

    def __init__(self, run: Run, yardstick: Yardstick, images_seen: int) -> None:
        self._file, self._yardstick = run.path / "best.safetensors", yardstick
        self._kept = self._read()
        if self._kept is not None and self._kept.images_seen > images_seen:
            self._kept = None

    def look(self, module: FamilyModule, images_seen: int) -> dict[str, float]:
        """Measure the weights as they are, and keep them if they are the best so far; figures for the log."""
        found = self._measure(module, images_seen)
        if found is None:
            return {}
        if self._kept is None or found.figure.value < self._kept.figure.value:
            with storage_errors("keep the best weights", self._file):
                note = json.dumps({"images_seen": images_seen, "figure": found.figure.model_dump()})
                weights = {
                    name: weight.cpu().contiguous() for name, weight in module.average.state_dict().items()
                }
                replace_file(self._file, save(weights, {"best": note}))
            self._kept = found
        return {"validation/kernel_distance": found.figure.value}

    def choose(self, module: FamilyModule, images_seen: int) -> tuple[int, dict[str, Metric]]:
        """Give ``module.average`` the weights to publish; when they were reached, and their figure.

        These are the last ones, unless earlier ones were better by more than chance: by more than half of the
        last figure's interval.
        """
        last = self._measure(module, images_seen)
        if last is None:
            return images_seen, {}
        chosen = last
        if self._kept is not None and self._kept.figure.value < last.figure.low:
            chosen = self._kept
            module.go_back(load(self._file.read_bytes()))
        how = f"{self._yardstick.how}; unbiased, all pairs"
        if chosen is not last:
            how += f"; after {chosen.images_seen:,} images, better than {last.figure.value:.3g} at the end"
        return chosen.images_seen, {"kernel_distance": Metric(value=chosen.figure.value, how=how)}

    def _measure(self, module: FamilyModule, images_seen: int) -> Candidate | None:
        figure = self._yardstick.measure(module)
        return Candidate(images_seen, figure) if isinstance(figure, Estimate) else None

    def _read(self) -> Candidate | None:
        """What an earlier part of the run has kept; a file that cannot be read is none."""
        try:
            data = self._file.read_bytes()
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            best = json.loads(header["__metadata__"]["best"])
            return Candidate(best["images_seen"], Estimate.model_validate(best["figure"]))
        except (OSError, ValueError, KeyError):
            return None
