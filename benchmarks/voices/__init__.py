"""Cost of the voice library: `python -m benchmarks.voices`."""
