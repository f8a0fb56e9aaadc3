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
from synth.training.yardstick import AnyYardstick, Measured


class Candidate(NamedTuple):
    """Averaged weights: when they were reached, their kernel distance, and what they miss of what must be."""

    images_seen: int
    figure: Estimate
    shortfall: float = 0.0

    @property
    def rank(self) -> tuple[float, float]:
        """The less, the better."""
        return self.shortfall, self.figure.value


class Best:
    """Keeps the averaged weights whose samples have come closest to the validation images.

    They lie in ``best.safetensors`` beside the state, with the figure in the file's metadata. What a run that
    was stopped had reached later than its last saved state is not counted: it is reached again.
    """

    def __init__(self, run: Run, yardstick: AnyYardstick, images_seen: int) -> None:
        self._file, self._yardstick = run.path / "best.safetensors", yardstick
        self._kept = self._read()
        if self._kept is not None and self._kept.images_seen > images_seen:
            self._kept = None

    def look(self, module: FamilyModule, images_seen: int, *, keep: bool = True) -> dict[str, float]:
        """Measure the weights as they are; figures for the log.

        With ``keep`` they are kept if they are the best so far.
        """
        measured = self._yardstick.measure(module)
        found = _candidate(measured, images_seen)
        figures = {
            f"validation/{name}": metric.value
            for name, metric in measured.metrics.items()
            if metric.value is not None
        }
        if found is None:
            return figures
        if keep and (self._kept is None or found.rank < self._kept.rank):
            with storage_errors("keep the best weights", self._file):
                note = json.dumps(
                    {**found._asdict(), "figure": found.figure.model_dump(), "by": self._yardstick.identity}
                )
                weights = {
                    name: weight.cpu().contiguous() for name, weight in module.average.state_dict().items()
                }
                replace_file(self._file, save(weights, {"best": note}))
            self._kept = found
        return {f"validation/{self._yardstick.name}": found.figure.value, **figures}

    def choose(self, module: FamilyModule, images_seen: int) -> tuple[int, dict[str, Metric]]:
        """Give ``module.average`` the weights to publish; when they were reached, and their figures.

        These are the last ones, unless earlier ones were better by more than chance: by more than half of the
        last figure's interval. Where the last ones miss what must be, it is enough that others miss less.
        """
        measured = self._yardstick.measure(module)
        last = _candidate(measured, images_seen)
        if last is None:
            return images_seen, dict(measured.metrics)
        chosen = last
        if self._kept is not None and self._kept.rank < (last.shortfall, last.figure.low):
            chosen = self._kept
            module.go_back(load(self._file.read_bytes()))
            measured = self._yardstick.measure(module) if measured.metrics else measured
        module.notes += measured.notes
        how = self._yardstick.how
        if chosen is not last:
            how += f"; after {chosen.images_seen:,} images, better than {last.figure.value:.3g} at the end"
        distance = Metric(value=chosen.figure.value, how=how)
        return chosen.images_seen, {self._yardstick.name: distance, **measured.metrics}

    def _read(self) -> Candidate | None:
        """What an earlier part of the run has kept; a file that cannot be read is none.

        Nor is one by another yardstick, whose figures mean something else: in a run that was made longer, the
        classifier in whose features samples are compared is trained for longer too.
        """
        try:
            data = self._file.read_bytes()
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            best = json.loads(header["__metadata__"]["best"])
            if best["by"] != self._yardstick.identity:
                return None
            figure = Estimate.model_validate(best["figure"])
            return Candidate(best["images_seen"], figure, best["shortfall"])
        except (OSError, ValueError, KeyError):
            return None


def _candidate(measured: Measured, images_seen: int) -> Candidate | None:
    """None where there is no figure."""
    figure = measured.figure
    return Candidate(images_seen, figure, measured.shortfall) if isinstance(figure, Estimate) else None
