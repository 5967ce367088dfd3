"""Tuning a model towards human attention."""
