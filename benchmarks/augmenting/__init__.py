"""The parts of ``augment.py``."""
