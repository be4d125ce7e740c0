"""A bus for a test, ready to use."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.common.bus import topology
from services.common.bus.memory.bus import MemoryBus
from services.common.bus.nats.connection import NatsBus
from services.common.bus.ports import Bus
from services.common.runtime.local_nats import local_nats


async def memory_bus() -> MemoryBus:
    """Return a bus in this process with every stream."""
    bus = MemoryBus()
    await bus.establish(topology.topology())
    return bus


@asynccontextmanager
async def nats_bus(folder: Path) -> AsyncIterator[NatsBus]:
    """Run a real server of one's own and yield a bus on it with every stream."""
    async with local_nats(folder) as server:
        bus = await NatsBus.connect(server.url, name="test", patience_s=5)
        await bus.establish(topology.topology())
        yield bus
        await bus.close()


@asynccontextmanager
async def bus_of(kind: str, folder: Path) -> AsyncIterator[Bus]:
    """Yield the in-memory twin, or the real bus; afterwards no subscription may be open on the twin."""
    if kind == "nats":
        async with nats_bus(folder) as connected:
            yield connected
        return
    memory = await memory_bus()
    yield memory
    assert memory.listeners == 0, "a subscription is left behind"
