"""Models and pipelines of a server, used as those that are here."""

from synth.client.model import RemoteModel
from synth.client.pipeline import RemotePipeline
from synth.client.transport import ServerError, UnreachableError

__all__ = ["RemoteModel", "RemotePipeline", "ServerError", "UnreachableError"]
