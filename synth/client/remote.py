"""What uses a server from here: a connection of its own, also in another process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self, Unpack

from synth.client.transport import Connecting, Transport


class Remote(ABC):
    """Something of a server, with connections that are closed with it."""

    def __init__(self, url: str, **connecting: Unpack[Connecting]) -> None:
        """``url``: of the server, as in ``http://127.0.0.1:8000``."""
        self._url, self._connecting = url, connecting
        self._transport = Transport(url, **connecting)

    @abstractmethod
    def _opened_by(self) -> tuple[Any, dict[str, Any]]:
        """What of the server it is, as the argument after ``url``, and options but for the connection's."""

    def __reduce__(self) -> tuple[Callable[[Any], Self], tuple[Any]]:
        """In another process it is opened anew, with connections of its own."""
        what, options = self._opened_by()
        return partial(type(self), self._url, **options, **self._connecting), (what,)

    def close(self) -> None:
        """Close the connections; what the server has stays there."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
