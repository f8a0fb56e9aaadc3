"""Reading the drift that a running server tells at ``/metrics``."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from synth.errors import SynthError, UsageError

_SECONDS = 30.0
_MOST_BYTES = 16 * 2**20


@dataclass
class ModelDrift:
    """What a server tells of one model: drift by ``made`` or ``sent`` and statistic, and images compared."""

    model: str
    images: dict[str, int] = field(default_factory=dict)
    drift: dict[str, dict[str, float]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def read_drift(server: str, key: str | None = None) -> list[ModelDrift]:
    """All models of which a server has compared images, by name.

    Raises UsageError where ``server`` is no address of one, SynthError where it cannot be asked.
    """
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, ModelDrift] = {}
    try:
        for family in text_string_to_metric_families(_fetch(server, key)):
            if family.name not in ("synth_drift", "synth_drift_images"):
                continue
            for sample in family.samples:
                name, what = sample.labels["model"], sample.labels["what"]
                model = found.setdefault(name, ModelDrift(name))
                if family.name == "synth_drift":
                    model.drift.setdefault(what, {})[sample.labels["statistic"]] = sample.value
                else:
                    model.images[what] = int(sample.value)
    except (ValueError, KeyError) as error:
        raise SynthError(f"{server} does not answer as a server of synth ({error}).") from error
    return sorted(found.values(), key=lambda model: model.model)


def _fetch(server: str, key: str | None) -> str:
    try:
        address = urlsplit(server)
        # urllib would open files as well.
        good = address.scheme in ("http", "https") and bool(address.hostname)
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"{server!r} is no address of a server; write http://HOST:PORT.")
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    request = urllib.request.Request(server.rstrip("/") + "/metrics", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            content: bytes = answer.read(_MOST_BYTES)
    except urllib.error.HTTPError as error:
        error.close()
        remedy = " Give a key with --key." if error.code in (401, 403) else ""
        raise SynthError(f"{server} answers {error.code} to /metrics.{remedy}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SynthError(
            f"{server} cannot be asked ({getattr(error, 'reason', error)}). Is it running?"
        ) from error
    return content.decode(errors="replace")
