"""Adapters for training loops."""
