"""The HTTP server: one process per host that owns its devices and makes images for whoever asks."""

from synth.serving.app import create_app
from synth.serving.settings import ServerSettings

__all__ = ["ServerSettings", "create_app"]
