"""Coqui XTTS-v2: the released weights and modules, decoded and vocoded by our own code."""

import os

# Read by the OpenMP runtime when torch loads it: its threads sleep when they have nothing to do. By default they spin,
# and two workers on two cores take fifteen times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
