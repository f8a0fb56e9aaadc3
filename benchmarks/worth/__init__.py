"""What generated images are worth: the parts of ``benchmarks/quality.py``."""
