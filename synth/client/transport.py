"""Requests to a server: sent again where it is busy, and its problems raised as the errors that they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypedDict

import httpx2

import synth.errors
from synth import __version__
from synth.errors import OverloadError, SynthError, UsageError

_FIRST_WAIT_SECONDS = 0.25
"""After a connection that broke; doubled each time."""
_LEAST_ERROR_STATUS = 400
_SERVER_ERRORS = 500


class UnreachableError(SynthError):
    """There is no server at the address, or the connection to it breaks again and again."""

    status = 502
    code = "unreachable"
    title = "The server cannot be reached"


class ServerError(SynthError):
    """The server failed, or answered with what is no answer of synth's."""

    status = 502
    code = "server-failed"
    title = "The server failed"


class Connecting(TypedDict, total=False):
    """How a server is asked; what is left out is as ``Transport`` has it.

    Attributes:
        key: one of ``synth keys create``, where the server asks for keys.
        timeout_seconds: how long the server may stay silent.
        retries: how often a request is sent again.
        most_wait_seconds: how long the waits in between may be together.
        sleep: waits so many seconds.
    """

    key: str | None
    timeout_seconds: float
    retries: int
    most_wait_seconds: float
    sleep: Callable[[float], None]


class Transport:
    """One server. For any thread.

    Every request of a client may be sent twice, since equal keys make equal images: broken connections, 429
    and 503 are tried again after as long as the server asks for, within limits.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout_seconds: float = 120.0,
        retries: int = 8,
        most_wait_seconds: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """See ``Connecting``; ``url``: of the server, as in ``http://127.0.0.1:8000``."""
        self.url = url.rstrip("/")
        self._retries, self._most_wait_seconds, self._sleep = retries, most_wait_seconds, sleep
        headers = {"User-Agent": f"synth/{__version__}"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        try:
            httpx2.URL(self.url)
            self._client = httpx2.Client(base_url=self.url, headers=headers, timeout=timeout_seconds)
        except (httpx2.InvalidURL, ValueError) as error:
            raise UsageError(
                f"{url!r} is no address of a server ({error}); write http://HOST:8000."
            ) from None
        if self._client.base_url.scheme not in ("http", "https") or not self._client.base_url.host:
            raise UsageError(f"{url!r} is no address of a server; write http://HOST:8000.")

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def send(self, method: str, path: str, **content: Any) -> httpx2.Response:
        """The whole of a good answer; ``content`` is as httpx2 takes it.

        Raises UnreachableError, and what ``error_of`` makes of a problem.
        """
        waited, tries = 0.0, 0
        while True:
            error: SynthError
            try:
                answer = self._client.request(method, path, **content)
            except httpx2.RequestError as fault:
                error, wait = self._unreachable(fault), _FIRST_WAIT_SECONDS * 2**tries
            else:
                if answer.status_code < _LEAST_ERROR_STATUS:
                    return answer
                error = error_of(answer)
                after = _retry_after(answer)
                if after is None:
                    raise error
                wait = after
            tries += 1
            waited += wait
            if tries > self._retries or waited > self._most_wait_seconds:
                raise error
            self._sleep(wait)

    def json(self, path: str, method: str = "GET", **content: Any) -> Mapping[str, Any]:
        """The JSON object that is answered; ServerError where it is none. ``content``: see ``send``."""
        answer = self.send(method, path, **content)
        try:
            value = answer.json()
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise ServerError(f"{self.url}{path} did not answer with JSON: is that a server of synth?")
        return value

    def _unreachable(self, fault: httpx2.RequestError) -> UnreachableError:
        if isinstance(fault, httpx2.TimeoutException):
            return UnreachableError(
                f"{self.url} did not answer in time ({type(fault).__name__}). Try again later."
            )
        return UnreachableError(f"{self.url} cannot be reached ({fault}). Is synth serve running there?")


def error_of(answer: httpx2.Response) -> SynthError:
    """The error that a problem (RFC 9457) tells: of the class that has its code, or at least its kind."""
    try:
        problem = answer.json()
        detail, code = str(problem["detail"]), str(problem["code"])
    except (ValueError, KeyError, TypeError):
        return ServerError(
            f"{answer.request.url} answered {answer.status_code} with what is no problem of synth's: is that "
            "a server of synth?"
        )
    kind = _CODES.get(code)
    if kind is None:
        kind = UsageError if answer.status_code < _SERVER_ERRORS else ServerError
    if code == ServerError.code or kind is ServerError:
        detail += f" (request {problem.get('request_id')})"
    error = kind(detail)
    error.code, error.status = code, answer.status_code
    if isinstance(error, OverloadError):
        error.retry_after_seconds = int(_retry_after(answer) or 1)
    return error


_CODES: Mapping[str, type[SynthError]] = {
    kind.code: kind
    for kind in vars(synth.errors).values()
    if isinstance(kind, type) and issubclass(kind, SynthError)
}


def _retry_after(answer: httpx2.Response) -> float | None:
    """Seconds after which the server wants to be asked again; None where that does not help."""
    if answer.status_code not in (429, 503):
        return None
    try:
        return max(0.0, float(answer.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None
