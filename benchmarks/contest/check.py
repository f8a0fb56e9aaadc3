"""Whether a server answers with the right pixels, before its speed is of any interest."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from contest.contenders import Contender, Site
from contest.forms import FORMS, Wanted
from contest.processes import Server, ServerError
from synth.sampling.prepare import FAST_TOLERANCE

_SEED = 7


def check_answers(contender: Contender, site: Site, server: Server) -> int:
    """The largest difference in levels of 255 from the same form of the model, computed here.

    Raises ServerError beyond the tolerance of mode ``fast``.
    """
    reference = _reference(contender.form, site.artifact, site.device)
    parts = [server.ask(count, _SEED, start) for start, count in ((0, 16), (16, 1), (17, 23))]
    pixels = np.frombuffer(b"".join(parts), np.uint8)
    worst = int(np.abs(pixels.astype(int) - np.frombuffer(reference, np.uint8)).max())
    if worst > FAST_TOLERANCE:
        raise ServerError(f"{contender.name} answers with other pixels: they differ by up to {worst} of 255.")
    return worst


@lru_cache
def _reference(form: str, artifact: Path, device: str) -> bytes:
    model = FORMS[form](artifact, device)
    wanted = [Wanted(count=count, seed=_SEED, start=start) for start, count in ((0, 16), (16, 1), (17, 23))]
    return b"".join(model.generate(wanted))
