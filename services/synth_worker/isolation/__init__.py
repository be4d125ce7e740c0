"""Runs the engine in a separate process, so that a crash does not take the worker down (docs/adr/0008)."""
