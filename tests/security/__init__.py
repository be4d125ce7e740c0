"""Attacks that were tried on the service, each as a test: bounded in time and size, on loopback."""
