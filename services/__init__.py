"""A self-hosted voice-cloning service: an HTTP edge, a splitter and synthesis workers over NATS."""

__version__ = "0.1.0"
NAME = "voice-cloning-pipeline"
