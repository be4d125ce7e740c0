"""Starts an engine process."""

import os
from asyncio.subprocess import Process

from services.common.runtime.child.environment import without_secrets
from services.common.runtime.child.start import start_process
from services.synth_worker.ports import EngineStuck


async def launch(*descriptors: int) -> Process:
    """Start an engine process, which inherits the file descriptors and the output. Raises EngineStuck."""
    try:
        return await start_process(
            "services.synth_worker.isolation.engine_process",
            *map(str, descriptors),
            environment=without_secrets(os.environ),
            descriptors=descriptors,
        )
    except OSError as error:
        raise EngineStuck(f"the engine process cannot be started ({error.strerror})") from None
