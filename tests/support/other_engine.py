"""A worker of a second engine, next to those of the tone engine."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.common.bus.ports import Bus
from services.synth_worker.app import Worker
from services.synth_worker.engine_thread import EngineThread
from services.synth_worker.engines.protocol import EngineDescription
from services.synth_worker.engines.tone import ToneEngine
from services.synth_worker.settings import Settings
from tests.support.service import MAX_CHARACTERS


class OtherEngine(ToneEngine):
    """A tone engine under another name."""

    def describe(self) -> EngineDescription:
        return dataclasses.replace(super().describe(), name="other")


@asynccontextmanager
async def other_worker(bus: Bus, *, real_time_factor: float = 0.0) -> AsyncIterator[None]:
    """Run a worker of the engine `other` while the block runs; its heartbeats may not have arrived yet."""
    stop = asyncio.Event()
    engine = OtherEngine(max_characters=MAX_CHARACTERS, real_time_factor=real_time_factor)
    worker = Worker(bus, EngineThread(engine), Settings(engine="other", worker_slots=2))
    serving = asyncio.create_task(worker.serve(stop))
    try:
        yield
    finally:
        stop.set()
        await serving
