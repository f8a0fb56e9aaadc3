"""The parts of benchmarks/domain_shift.py."""
