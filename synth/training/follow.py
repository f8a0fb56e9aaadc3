"""A follower: ``python -m synth.training.follow``, with its plan as one line of JSON on standard input.

It is started by ``synth.training.team.Followers``; its leader has checked everything before.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import torch

from synth.errors import ResumeError, SynthError
from synth.families import get_family
from synth.training.batches import KeyedBatches
from synth.training.domains import read_domains
from synth.training.pace import Pace
from synth.training.parts import split_domains
from synth.training.preparing import build_module, restore
from synth.training.recipe import make_recipe
from synth.training.runs import Run
from synth.training.team import Team
from synth.training.trainer import run_trainer


def main() -> None:
    """Follow until the leader has had enough, or is gone."""
    plan = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_leader, daemon=True).start()
    warnings.simplefilter("ignore")  # the leader has said it all
    try:
        follow(plan, Team(plan["rank"], plan["size"], plan["port"]))
    except SynthError as error:
        sys.exit(str(error))  # the last line of the log is what the leader tells


def follow(plan: dict[str, Any], team: Team) -> None:
    """Compute this process's share of every batch of a run."""
    run = Run(Path(plan["run"]))
    record = run.record()
    recipe = make_recipe(get_family(record["family"]).load("recipe"), record["recipe"])
    source, target = record["location"], record.get("target_location")
    images = read_domains(source, target, recipe, skip_unreadable=record["skip_unreadable"])
    if images.digest != record["data"]:
        also = "" if target is None else f", or those in {target},"
        raise ResumeError(f"The images in {source}{also} have changed since the training began.")
    domains = split_domains(images.source, images.target, recipe.validation)
    module = build_module(record["family"], recipe, domains)
    budget, saved = restore(run, module)
    device = torch.device(f"cuda:{team.rank}" if plan["device"] == "cuda" else plan["device"])
    module.to(device).prepare(domains.source.training, domains.source.validation)
    batches = KeyedBatches(
        domains.source.training,
        recipe.batch_size,
        recipe.seed,
        budget.images_seen,
        team.share(recipe.batch_size),
        domains.paired(recipe),
    )
    run_trainer(module, batches, Pace(budget, saved, team), recipe, device, team)


def _end_with_leader() -> None:
    """Standard input ends when the leader does, however it does."""
    while os.read(sys.stdin.fileno(), 1):  # not by the buffer, whose lock would be held when Python ends
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
