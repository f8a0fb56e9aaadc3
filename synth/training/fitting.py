"""From a source and a recipe to a published artifact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from synth.artifacts import Artifact, Draft, ImageInfo, Metric, Store, TargetInfo, check_name
from synth.data import ImageSet
from synth.data.locations import absolute_spec
from synth.evaluation.reference import Reference
from synth.families import check_target
from synth.sampling import resolve_device, resolve_precision
from synth.text import plural
from synth.training.batches import KeyedBatches
from synth.training.budget import Budget
from synth.training.domains import read_domains
from synth.training.log import RunLog
from synth.training.loop import Interruption, Loop
from synth.training.module import FamilyModule
from synth.training.observer import Observer
from synth.training.parts import Domains, pixel_statistics, split_domains
from synth.training.preparing import build_module, restore
from synth.training.recipe import Recipe
from synth.training.reporter import Reporter, Silent
from synth.training.requirements import check_count, check_targets, with_fitting_batch
from synth.training.resuming import Wanted, finished_artifact, tell_of_unfinished, unfinished_run
from synth.training.runs import Run, latest_run, new_run
from synth.training.team import check_devices, gathered
from synth.training.trainer import run_trainer
from synth.training.translator import with_domains
from synth.training.warm_start import origin_artifact, origin_of, remember_origin, seen_before, start_from


def fit(
    family: str,
    source: str | Path,
    recipe: Recipe,
    *,
    name: str,
    target: str | Path | None = None,
    store: Store | None = None,
    runs: Path | None = None,
    resume: bool | None = None,
    device: str = "auto",
    devices: int = 1,
    skip_unreadable: bool = False,
    save_seconds: float = 60.0,
    reporter: Reporter | None = None,
) -> Artifact:
    """Train a generator, a translator or an encoder and publish it.

    Args:
        family: a name in ``synth.families``.
        source: what ``synth.data.open_source`` takes.
        recipe: of that family.
        name: under which the artifact is published.
        target: for translators, and for them alone, the images that those of ``source`` are to become like.
        store: where to; by default SYNTH_HOME/store.
        runs: folder of all runs; by default SYNTH_HOME/runs.
        resume: None goes on with the newest run of this name that has this recipe and these images, if it was
            interrupted, and starts a new one otherwise; True goes on with the latest run of this name, and
            False starts a new one. What goes on does so, on the CPU, bit for bit as if it had never stopped
            (when its length is ``images_seen``).
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        devices: how many of this machine's to use; each computes its share of every batch, and the gradient
            is the mean of theirs.
        skip_unreadable: leave out files that cannot be decoded.
        save_seconds: how often the resume state is saved.
        reporter: told of notes and progress.

    Raises:
        SourceError: too few images, or unreadable ones.
        ConfigError: a recipe that does not fit the images; a target too many, or none.
        LabelError: the recipe requires labels, and there are none.
        ResumeError: the run to resume has another recipe or other data.
        NonFiniteError: training diverged; the last good state is kept.
        MemoryExceededError: a batch does not fit into the device's memory; the message names one that does.
        InterruptedRunError: SIGINT or SIGTERM; the state is saved.
        StorageError: the disk is full or not writable.

    Images that memory cannot hold lie in a file in SYNTH_HOME/cache meanwhile.
    """
    tell = reporter or Silent()
    store = store or Store()
    check_name(name)
    check_target(family, given=target is not None)
    computing = resolve_device(device)
    recipe = recipe.settled().model_copy(update={"precision": resolve_precision(recipe.precision, computing)})
    images = read_domains(source, target, recipe, skip_unreadable=skip_unreadable)
    for note in images.notes:
        tell.note(note)
    check_count(images.source, recipe, tell)
    if images.target is not None:
        check_targets(images.target, recipe, tell)
    domains = split_domains(images.source, images.target, recipe.validation)
    recipe = with_domains(with_fitting_batch(recipe, domains.fewest(recipe), tell), images)
    check_devices(device, computing, devices, recipe.batch_size)
    wanted = Wanted.of(family, recipe, images)
    if resume is None:
        run = unfinished_run(name, wanted, runs, tell)
    elif resume:
        run = latest_run(name, runs)
    else:
        run = None
        tell_of_unfinished(name, runs, tell)
    going_on, module = run is not None, None
    if run is None:
        # Before the run: what cannot be built leaves none behind.
        # No path: whoever asks for a training over HTTP may not name folders of this machine.
        origin = None if recipe.warm_start is None else store.find(recipe.warm_start)
        module = _build(family, recipe, domains, origin, tell)
        run = new_run(name, runs)
        run.update(
            **({} if origin is None else remember_origin(run, origin)),
            family=family,
            source=images.source.source,
            location=absolute_spec(source),
            recipe=recipe.model_dump(mode="json"),
            data=wanted.digest,
            images=len(images.source),
            skip_unreadable=skip_unreadable,
        )
        if target is not None and images.target is not None:
            run.update(
                target=images.target.source,
                target_location=absolute_spec(target),
                target_images=len(images.target),
            )
    with run.locked():
        if going_on:
            finished = finished_artifact(run, wanted.check(run), recipe, store)
            if finished is not None:
                tell.note(f"{run.path} is finished: it was published as {finished.manifest.reference}.")
                return finished
        run.update(
            recipe=recipe.model_dump(mode="json"),
            store=str(store.root.absolute()),
            device=device,
            devices=devices,
            artifact=None,
            publishing=None,
        )
        if module is None:
            begun = run.state_file.exists()
            module = _build(family, recipe, domains, None if begun else origin_artifact(run), tell)
        return _train(run, module, recipe, domains, name, store, computing, devices, save_seconds, tell)


def _train(
    run: Run,
    module: FamilyModule,
    recipe: Recipe,
    domains: Domains,
    name: str,
    store: Store,
    device: torch.device,
    devices: int,
    save_seconds: float,
    tell: Reporter,
) -> Artifact:
    parts = domains.source
    budget, saved = restore(run, module)
    if saved is not None:
        tell.note(f"Resuming {run.path} after {budget.images_seen:,} images.")
    interruption = Interruption(run, f"Go on with: synth train {module.family} --name {name} --resume")
    with RunLog(run.path, budget.images_seen) as log, interruption.listening():
        observer = Observer(run, domains, budget, log, module, device)
        if budget.progress < 1.0:
            module.to(device)  # some are taught something first
            module.prepare(parts.training, parts.validation)
            with gathered({"run": str(run.path)}, device, devices, run.path) as team:
                loop = Loop(run, budget, log, observer, tell, interruption, save_seconds, saved, team)
                batches = KeyedBatches(
                    parts.training,
                    recipe.batch_size,
                    recipe.seed,
                    budget.images_seen,
                    team.share(recipe.batch_size),
                    domains.paired(recipe),
                )
                run_trainer(module, batches, loop, recipe, device, team)
        with interruption.at_once(budget.images_seen):
            module.to(device)
            chosen = observer.finish(module, tell)
            metrics = {**module.measure(parts.validation, parts.measured_on), **chosen}
            measured = {name: metric.value for name, metric in metrics.items() if metric.value is not None}
            log.figures(budget.images_seen, measured)
            log.plot()
            for warning in (*module.notes, *module.warnings(metrics)):
                tell.note(warning)
        artifact = _publish(run, recipe, module, domains, budget, metrics, name, store, tell)
        run.update(artifact=artifact.manifest.reference, publishing=None)
        return artifact


def _build(
    family: str, recipe: Recipe, domains: Domains, origin: Artifact | None, tell: Reporter
) -> FamilyModule:
    """A module that has learnt nothing yet, or what fits of ``origin``."""
    module = build_module(family, recipe, domains)
    if origin is not None:
        tell.note(start_from(module, origin, domains.source.training.classes))
        for parts in domains:
            warning = parts and seen_before(
                origin.training_ids(), parts.validation, origin.manifest.reference
            )
            if warning:
                tell.note(warning)
    return module


def _publish(
    run: Run,
    recipe: Recipe,
    module: FamilyModule,
    domains: Domains,
    budget: Budget,
    metrics: Mapping[str, Metric],
    name: str,
    store: Store,
    tell: Reporter,
) -> Artifact:
    training = domains.source.training
    pixel_mean, pixel_std = pixel_statistics(training.images)
    target = None if domains.target is None else domains.target.training
    made = training if target is None else target
    labelled = target is None or recipe.needs_labels
    counts = training.class_counts if labelled else None
    origin, earlier_ids = origin_of(run)
    draft = Draft(
        family=module.family,
        network=module.network_config(),
        image=ImageInfo(channels=module.image.channels, height=module.image.height, width=module.image.width),
        classes=training.classes if labelled else None,
        weights=module.average.state_dict(),
        parameters=sum(weight.numel() for weight in module.average.parameters()),
        recipe=recipe.model_dump(mode="json"),
        source=training.source,
        images=len(training),
        images_seen=budget.images_seen,
        seconds=round(budget.seconds, 1),
        ids=domains.training_ids,
        class_counts=counts,
        pixel_mean=pixel_mean,
        pixel_std=pixel_std,
        metrics=dict(metrics),
        preview=module.preview(),
        statistics=Reference.of(made.images, None if target else counts, seed=recipe.seed).model_dump(),
        target=None if target is None else _target_info(target),
        origin=origin,
        earlier_ids=earlier_ids,
        announce=lambda reference, digest: run.update(publishing=[reference, digest]),
    )
    artifact = store.publish(draft, name)
    tell.note(
        f"Published {artifact.manifest.reference}: {plural(budget.images_seen, 'image')} seen in "
        f"{budget.seconds:.0f} s. Look at {artifact.path / 'preview.png'}"
    )
    return artifact


def _target_info(target: ImageSet) -> TargetInfo:
    mean, std = pixel_statistics(target.images)
    return TargetInfo(source=target.source, images=len(target), pixel_mean=mean, pixel_std=std)
