"""synth: a generator of your image domain, labelled synthetic data, and a service that streams it."""

__version__ = "0.1.0"
