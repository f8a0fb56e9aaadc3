"""Rates and quotas: how much one client may ask for. Counted in memory, so that a restart forgets it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

from limits import RateLimitItem, RateLimitItemPerDay, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from synth.errors import OverloadError
from synth.serving.authentication import client_of, key_of
from synth.serving.problems import synth_problem


class RateError(OverloadError):
    """One client has asked for more than its share; others are not affected."""

    status = 429
    code = "rate-exceeded"
    title = "Too many requests"

    def __init__(self, message: str, standing: Standing) -> None:
        super().__init__(message, retry_after_seconds=standing.reset_seconds)
        self.standing = standing


@dataclass(frozen=True)
class Standing:
    """Where a client stands with one limit."""

    name: str
    limit: int
    window_seconds: int
    remaining: int
    reset_seconds: int

    def policy(self) -> str:
        """For ``RateLimit-Policy`` (draft-ietf-httpapi-ratelimit-headers)."""
        return f'"{self.name}";q={self.limit};w={self.window_seconds}'

    def now(self) -> str:
        """For ``RateLimit``."""
        return f'"{self.name}";r={self.remaining};t={self.reset_seconds}'


class Rates:
    """The counts of every client. What a key says of itself goes before what the settings say of all."""

    def __init__(self, *, rate: str | None, quota: int | None) -> None:
        """``rate``: requests, as in 100/minute. ``quota``: images in a day. None: no limit."""
        self._rate, self._quota = rate, quota
        storage = MemoryStorage()
        self._requests = MovingWindowRateLimiter(storage)
        # Images come by the thousand, and a moving window remembers each hit by itself; this one holds two
        # counts, and takes those of the last window as spread evenly over it.
        self._images = SlidingWindowCounterRateLimiter(storage)

    def take_request(self, scope: Scope) -> list[Standing]:
        """Count one request, and tell where its client stands; nothing where nothing is limited.

        Raises RateError if it is one too many, which is not counted.
        """
        client, key = client_of(scope), key_of(scope)
        rate = key.rate if key is not None and key.rate is not None else self._rate
        limit = None if rate is None else parse(rate)
        if limit is None:
            return []
        if not self._requests.hit(limit, "requests", client):
            standing = _standing(self._requests, limit, "requests", client)
            raise RateError(
                f"This client may send {limit.amount:,} requests in {_window(limit)}. "
                f"Try again in {standing.reset_seconds} s.",
                standing,
            )
        return [_standing(self._requests, limit, "requests", client)]

    def take_images(self, scope: Scope, count: int) -> None:
        """Count ``count`` images that the client of a request asks for.

        Raises RateError if they are too many for the day; then none of them is counted.
        """
        client, key = client_of(scope), key_of(scope)
        quota = key.quota if key is not None and key.quota is not None else self._quota
        if quota is None or count < 1:
            return
        limit = RateLimitItemPerDay(quota)
        if not self._images.hit(limit, "images", client, cost=count):
            standing = _standing(self._images, limit, "images", client)
            raise RateError(
                f"This client may have {limit.amount:,} images in a day, {standing.remaining:,} are left, "
                f"and {count:,} were asked for. Ask for fewer, or try again in {standing.reset_seconds:,} s.",
                standing,
            )


class RateMiddleware:
    """Counts requests by client, refuses those over the rate with 429, and tells clients where they stand."""

    def __init__(self, app: ASGIApp, rates: Rates, free: Iterable[str]) -> None:
        """``free``: paths that are not counted."""
        self.app = app
        self._rates = rates
        self._free = frozenset(free)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._free:
            await self.app(scope, receive, send)
            return
        try:
            standings = self._rates.take_request(scope)
        except RateError as error:
            response = synth_problem(Request(scope), error, _headers([error.standing]))
            await response(scope, receive, send)
            return

        async def send_with_standing(message: Message) -> None:
            if message["type"] == "http.response.start" and standings:
                MutableHeaders(scope=message).update(_headers(standings))
            await send(message)

        await self.app(scope, receive, send_with_standing)


def _headers(standings: list[Standing]) -> dict[str, str]:
    return {
        "RateLimit-Policy": ", ".join(standing.policy() for standing in standings),
        "RateLimit": ", ".join(standing.now() for standing in standings),
    }


def _standing(limiter: RateLimiter, limit: RateLimitItem, name: str, client: str) -> Standing:
    reset, remaining = limiter.get_window_stats(limit, name, client)
    seconds = max(1, math.ceil(reset - time.time()))
    return Standing(name, limit.amount, limit.get_expiry(), max(0, int(remaining)), seconds)


def _window(limit: RateLimitItem) -> str:
    seconds = limit.get_expiry()
    return "a second" if seconds == 1 else f"{seconds:,} seconds"
