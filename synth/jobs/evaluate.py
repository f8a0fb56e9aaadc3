"""The runner of evaluate jobs. Imported by workers alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synth.artifacts import Artifact, Store
from synth.errors import ArtifactError
from synth.evaluation.figures import Estimate
from synth.evaluation.report import (
    Report,
    evaluate,
    figures,
    load_report,
    load_sets,
    quick_settings,
    save_report,
)
from synth.jobs.evaluate_body import EvaluateBody
from synth.jobs.inputs import made_by
from synth.jobs.task import Task
from synth.jobs.yardstick import choose_extractor

_SHARES = {"load": (0.0, 0.1), "extractor": (0.1, 0.3), "report": (0.3, 1.0)}
"""Of the whole work, for the progress that clients are told."""


def run(task: Task) -> dict[str, Any]:
    """Measure, and write the report into the job's folder; one that is finished already is kept."""
    body, settings = EvaluateBody.model_validate(task.job.body), task.settings
    if task.folder.report.is_dir():
        return _result(task, load_report(task.folder.report))
    store = Store(settings.store)
    loaded = load_sets(
        body.real,
        _synthetic(task, body, store),
        body.holdout,
        count=body.count,
        seed=body.seed,
        store=store,
        device=settings.device,
        precision=settings.precision,
        progress=_Phase(task, "load"),
    )
    telling = _Phase(task, "extractor", len(loaded.synthetic))
    telling(0.0, "")
    extractor = choose_extractor(
        task.job.pinned.get("encoder"),
        loaded.real,
        loaded.holdout,
        store=store,
        device=settings.device,
        quick=body.quick,
        progress=telling,
    )
    report = evaluate(
        loaded.real,
        loaded.synthetic,
        extractor=extractor,
        holdout=loaded.holdout,
        generator=loaded.generator,
        seed=body.seed,
        seeds=body.seeds,
        flip=body.flip,
        device=settings.device,
        progress=_Phase(task, "report", len(loaded.synthetic)),
        **quick_settings(loaded.real.images.shape[1:]) if body.quick else {},
    )
    save_report(report, task.folder.report)
    return _result(task, report)


class _Phase:
    """Progress of one part of the work as that of the whole; and the wish to stop, which ends it."""

    def __init__(self, task: Task, phase: str, total: int | None = None) -> None:
        self._task, self._total = task, total
        self._start, self._stop = _SHARES[phase]

    def __call__(self, share: float, what: str) -> None:
        self._task.check()
        whole = self._start + share * (self._stop - self._start)
        self._task.advance(round(whole * (self._total or 0)), self._total, whole)


def _synthetic(task: Task, body: EvaluateBody, store: Store) -> Path | Artifact:
    if body.dataset is not None:
        return made_by(task, body.dataset)
    artifact = store.find(task.job.pinned["model"])
    if artifact.manifest.digest != task.job.pinned["digest"]:
        raise ArtifactError(
            f"{task.job.pinned['model']} is not the model that it was when the job was made; make a new job."
        )
    return artifact


def _result(task: Task, report: Report) -> dict[str, Any]:
    return {
        "report": task.job.id,
        "verdict": report.verdict.status,
        "headline": report.verdict.headline,
        "model": report.facts.model,
        "count": report.facts.synthetic.count,
        "figures": {
            name: figure.value if isinstance(figure, Estimate) else None
            for name, figure in figures(report).items()
        },
    }
