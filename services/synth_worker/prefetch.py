"""Downloads an engine's weights if they are missing, then exits: `python -m services.synth_worker.prefetch`.

It runs once for all workers, on a cheap machine without a GPU and without access to NATS.
"""

import asyncio

import structlog

from services.common.runtime.service_process import run_process
from services.common.wire.failures import PipelineError
from services.synth_worker.building import prefetch_weights
from services.synth_worker.settings import Settings

log = structlog.get_logger()


async def fetch(settings: Settings, _stop: asyncio.Event) -> None:
    """Make sure that the weights exist and are intact. Raises EngineUnavailable, with what to do."""

    def report(progress: str) -> None:
        log.info("Loading model", engine=settings.engine, progress=progress)

    folder = await asyncio.to_thread(prefetch_weights, settings, report)
    if folder is not None:
        log.info("weights_ready", folder=str(folder))


if __name__ == "__main__":
    run_process("prefetch", Settings, fetch, PipelineError)
