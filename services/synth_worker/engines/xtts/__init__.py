"""Coqui XTTS-v2: the released weights and modules, decoded and vocoded by our own code."""

import os

# The OpenMP runtime reads this when torch loads it: idle threads sleep. By default they spin, and two
# workers on two cores take fifteen times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
