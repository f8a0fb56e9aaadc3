"""Nothing is measured on what was trained on: an artifact knows its training ids, and here they are looked
up."""

from __future__ import annotations

from collections.abc import Sequence

from synth.artifacts import Artifact
from synth.errors import LeakError
from synth.text import plural, some

_SHOWN = 3
_DIGITS = 12
"""Hexadecimal digits shown of an id."""


def check_no_leak(
    artifact: Artifact, ids: Sequence[str], what: str, *, origins: Sequence[str] | None = None
) -> None:
    """Raise LeakError where an artifact was trained on some of these images.

    Args:
        artifact: a published generator, encoder or classifier.
        ids: content hashes of the images to measure on.
        what: what they are, as the user calls them: ``holdout``, ``fold-2 of photos``.
        origins: what to call each image in the message, instead of its id.

    Raises:
        LeakError: with how many, and the first of them.
        ArtifactError: the artifact's training ids are damaged.
    """
    hit = artifact.training_ids().contains(ids).nonzero()[0]
    if len(hit):
        names = [ids[row][:_DIGITS] if origins is None else origins[row] for row in hit[:_SHOWN]]
        raise LeakError(
            f"{artifact.manifest.reference} was trained on {len(hit):,} of the {plural(len(ids), 'image')} "
            f"in {what}: {_first(names, len(hit))}. What is measured on them says nothing. Measure on images "
            "that were held out (synth split makes parts that stay apart), or train on another part."
        )


def check_apart(
    ids: Sequence[str], others: Sequence[str], what: str, other: str, *, origins: Sequence[str] | None = None
) -> None:
    """Raise LeakError where two sets that must be disjoint share images: a holdout and its training set.

    Args:
        ids, others: content hashes.
        what, other: what the two are, as the user calls them.
        origins: what to call each image of the first in the message.
    """
    known = set(others)
    hit = [row for row, name in enumerate(ids) if name in known]
    if hit:
        names = [ids[row][:_DIGITS] if origins is None else origins[row] for row in hit[:_SHOWN]]
        raise LeakError(
            f"{len(hit):,} of the {plural(len(ids), 'image')} in {what} are in {other}, too: "
            f"{_first(names, len(hit))}. Split with synth split, which keeps equal and similar images "
            f"together."
        )


def _first(names: Sequence[str], count: int) -> str:
    return some([*names, *[""] * (count - len(names))], _SHOWN)
