"""Which run a training goes on with, and whether it may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth.artifacts import Artifact, Store
from synth.errors import ConfigError, NotFoundError, ResumeError
from synth.text import plural, some
from synth.training.domains import Images
from synth.training.recipe import Recipe, check_resumable, make_recipe
from synth.training.reporter import Reporter
from synth.training.runs import Run, all_runs


@dataclass(frozen=True)
class Wanted:
    """What is to be trained now: what a run must be to be gone on with."""

    family: str
    recipe: Recipe
    images: Images
    digest: str
    """Of the images."""

    @staticmethod
    def of(family: str, recipe: Recipe, images: Images) -> Wanted:
        return Wanted(family, recipe, images, images.digest)

    def differences(self, record: Mapping[str, Any]) -> list[str]:
        """``what: then -> now`` for all in which the run of this record differs, lengths too."""
        if record["family"] != self.family:
            return [f"family: {record['family']} -> {self.family}"]
        try:
            stored = make_recipe(type(self.recipe), record["recipe"])
        except ConfigError as error:  # of another version of synth
            return [str(error)]
        found = check_resumable(stored, self.recipe, adjustable=frozenset())
        if record["data"] != self.digest:
            found.append(f"images: {self._other_images(record)}")
        return found

    def check(self, run: Run) -> Recipe:
        """The recipe that the run was started with; ResumeError where another, or other data, is wanted."""
        record = run.record()
        if record["family"] != self.family:
            raise ResumeError(f"{run.path} is a run of the family {record['family']!r}, not {self.family!r}.")
        stored = make_recipe(type(self.recipe), record["recipe"])
        differences = check_resumable(stored, self.recipe)
        if differences:
            raise ResumeError(
                f"{run.path} has another recipe: {some(differences)}. Resume without these settings, or "
                "start a new run with --fresh."
            )
        if record["data"] != self.digest:
            there = self.images.source.source
            if self.images.target is not None:
                there += f" and {self.images.target.source}"
            raise ResumeError(
                f"The images in {there} are not those that {run.path} was started with "
                f"({self._other_images(record)}). Restore them, or start a new run with --fresh."
            )
        return stored

    def _other_images(self, record: Mapping[str, Any]) -> str:
        own = f"{plural(record['images'], 'image')} then, {len(self.images.source):,} now"
        if self.images.target is None:
            return own
        return (
            f"{own}; of the target {record.get('target_images', 0):,} then, {len(self.images.target):,} now"
        )


def unfinished_run(name: str, wanted: Wanted, runs: Path | None, tell: Reporter) -> Run | None:
    """The newest run of the name with this recipe and these images, if it was interrupted; None otherwise.

    Tells which run is gone on with, or in what an unfinished one differs that is left behind.
    """
    there = all_runs(name, runs)
    for run in reversed(there):
        record = _record(run)
        if record is None or wanted.differences(record):
            continue
        if run.finished or not run.state_file.exists():
            break
        tell.note(
            f"Going on with the unfinished run in {run.path}: it has the same recipe and images. --fresh "
            "starts a new one."
        )
        return run
    tell_of_unfinished(name, runs, tell, wanted)
    return None


def tell_of_unfinished(name: str, runs: Path | None, tell: Reporter, wanted: Wanted | None = None) -> None:
    """Note that the latest run of the name is left unfinished, if it is; and why, if that is what differs."""
    there = all_runs(name, runs)
    if not there or there[-1].finished or not there[-1].state_file.exists():
        return
    record = _record(there[-1])
    why = ""
    if wanted is not None and record is not None:
        why = (
            f" It differs: {some(wanted.differences(record))}; what was asked for then, asked for again, "
            "goes on with it."
        )
    tell.note(f"An unfinished run of {name!r} is left in {there[-1].path}; this is a new one.{why}")


def finished_artifact(run: Run, stored: Recipe, recipe: Recipe, store: Store) -> Artifact | None:
    """What a run has published already; None if nothing, or if it is to be made longer or shorter."""
    length = ("minutes", "images_seen")
    if any(getattr(stored, field) != getattr(recipe, field) for field in length):
        return None
    record = run.record()
    reference, digest = record.get("artifact"), None
    if reference is None and record.get("publishing") is not None:
        # Killed while it published: that was the last thing it said.
        reference, digest = record["publishing"]
    if reference is None:
        return None
    try:
        artifact = store.find(reference)
    except NotFoundError:  # it was removed, or lies in another store
        return None
    if digest is not None:
        if artifact.manifest.digest != digest:  # it never appeared, and the number is another one's
            return None
        run.update(artifact=reference, publishing=None)
    return artifact


def _record(run: Run) -> dict[str, Any] | None:
    """None where it was killed before it wrote one, or where that is damaged."""
    try:
        return run.record()
    except ResumeError:
        return None
