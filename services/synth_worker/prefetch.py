"""Fetches an engine's weights where they are not there yet, and ends: `python -m services.synth_worker.prefetch`.

So that they come once for all workers, on a machine that costs little, with no way to NATS and before any GPU is taken.
"""

import asyncio

import structlog

from services.common.runtime.service_process import run_process
from services.common.wire.failures import PipelineError
from services.synth_worker.building import weight_settings
from services.synth_worker.engines.xtts.weights.location import find_weights
from services.synth_worker.settings import Settings

log = structlog.get_logger()


async def fetch(settings: Settings, _stop: asyncio.Event) -> None:
    """See that the weights are there and whole. Raises EngineUnavailable, saying what to do."""
    if settings.engine != "xtts":
        return  # the others bring theirs along

    def tell(progress: str) -> None:
        log.info("Loading model", engine=settings.engine, progress=progress)

    folder = await asyncio.to_thread(find_weights, weight_settings(settings), tell)
    log.info("weights_ready", folder=str(folder))


if __name__ == "__main__":
    run_process("prefetch", Settings, fetch, PipelineError)
