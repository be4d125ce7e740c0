"""`task xtts:gpu`: what the XTTS engine does on a GPU, step by step, in ten minutes."""

import services.synth_worker.engines.xtts  # noqa: F401  # before torch, whose idle threads would spin
