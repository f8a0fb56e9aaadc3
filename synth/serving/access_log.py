"""Logs as JSON lines on stderr: one for each request, and every warning and error with its request's id.

JSON escapes what it quotes and ASCII has no odd line ends, so that no client can forge a line. Queries,
bodies and all headers but User-Agent and traceparent stay out of the log: they may hold secrets.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from synth.serving.request_id import current_request_id

if TYPE_CHECKING:
    from synth.serving.observation import Visit

LogForm = Literal["auto", "json", "off"]

_LONGEST_AGENT = 200
_LONGEST_PATH = 1000
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")

_access = logging.getLogger("synth.access")


class AccessLog:
    """Writes to the logger ``synth.access`` if it is enabled for INFO; else it costs next to nothing."""

    def write(self, visit: Visit) -> None:
        """One line on a request that has ended."""
        if _access.isEnabledFor(logging.INFO):
            _access.info("%s", json.dumps(_fields(visit)))


def _fields(visit: Visit) -> dict[str, Any]:
    scope, state = visit.scope, visit.state
    headers: dict[bytes, bytes] = dict(scope["headers"])
    fields = {
        "time": _now(),
        "request_id": state.get("request_id"),
        "client": _client(scope, state),
        "method": scope["method"],
        "path": scope["path"][:_LONGEST_PATH],
        "route": visit.route,
        "status": visit.status,
        "bytes": visit.sent,
        "seconds": round(visit.seconds, 6),
        "user_agent": headers.get(b"user-agent", b"").decode("latin-1")[:_LONGEST_AGENT],
        "model": state.get("model"),
        "images": state.get("images"),
        "problem": state.get("problem"),
        "error": visit.error,
        "trace_id": state.get("trace_id") or _trace_id(headers),
    }
    return {name: value for name, value in fields.items() if value not in (None, "")}


def _client(scope: Any, state: Any) -> str | None:
    """The id of its key, or else its address."""
    if state.get("key") is not None:
        return str(state["client"])
    address = scope.get("client")
    return None if address is None else str(address[0])


def _trace_id(headers: dict[bytes, bytes]) -> str | None:
    """Of the client's trace (W3C Trace Context)."""
    found = _TRACEPARENT.fullmatch(headers.get(b"traceparent", b""))
    return None if found is None else found[1].decode()


class JsonFormatter(logging.Formatter):
    """A record of any logger as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger and message, and where there are any: request id and traceback."""
        fields: dict[str, Any] = {
            "time": _now(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage().strip(),
        }
        request_id = current_request_id.get()
        if request_id is not None:
            fields["request_id"] = request_id
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields)


@contextmanager
def logs_on_stderr(form: LogForm) -> Iterator[None]:
    """Have all loggers write JSON lines while the block runs, if ``form`` says so; for owners of a process.

    ``auto``: as JSON unless stderr is a terminal, where people look for what went wrong.
    """
    if form == "off" or (form == "auto" and sys.stderr.isatty()):
        yield
        return
    root, lines, records = logging.getLogger(), logging.StreamHandler(), logging.StreamHandler()
    records.setFormatter(JsonFormatter())
    before = _access.level, _access.propagate
    _access.setLevel(logging.INFO)
    _access.propagate = False
    _access.addHandler(lines)
    root.addHandler(records)
    try:
        yield
    finally:
        root.removeHandler(records)
        _access.removeHandler(lines)
        _access.setLevel(before[0])
        _access.propagate = before[1]


def _now(seconds: float | None = None) -> str:
    """ISO 8601, UTC, in milliseconds."""
    now = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return now.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
