"""Which version of a model of a server is meant, and what the server tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from synth.artifacts.reference import Reference
from synth.client.transport import Transport
from synth.errors import UsageError


def find(transport: Transport, model: str | None) -> Mapping[str, Any]:
    """What the server tells of the version that is meant; None: of the only model that makes images.

    Raises UsageError where no version or several are meant, and NotFoundError.
    """
    if model is None:
        model = _only(transport)
    wanted = Reference.parse(model)
    latest = transport.json(f"/v1/models/{quote(wanted.name)}")
    if wanted.alias is not None:
        return _aliased(transport, latest, wanted)
    return latest if wanted.version is None else version(transport, wanted.name, wanted.version)


def version(transport: Transport, name: str, number: int) -> Mapping[str, Any]:
    """What the server tells of one version."""
    return transport.json(f"/v1/models/{quote(name)}/versions/{number}")


def _only(transport: Transport) -> str:
    able = [one for one in transport.json("/v1/models")["models"] if one["operations"] or one["error"]]
    if len(able) != 1:
        names = ", ".join(one["name"] for one in able) or "none"
        raise UsageError(f"Say which model of {transport.url} is meant; it has: {names}.")
    return str(able[0]["name"])


def _aliased(transport: Transport, latest: Mapping[str, Any], wanted: Reference) -> Mapping[str, Any]:
    for number in latest["versions"]:
        told = version(transport, wanted.name, number)
        if wanted.alias in told["aliases"]:
            return told
    raise UsageError(f"{transport.url} has no {wanted}; versions: {latest['versions']}.")
