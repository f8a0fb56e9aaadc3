"""A model of a server, used as one that is loaded here."""

from synth.client.model import RemoteModel
from synth.client.transport import ServerError, UnreachableError

__all__ = ["RemoteModel", "ServerError", "UnreachableError"]
