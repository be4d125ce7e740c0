"""Speech over NATS, without HTTP, by the contract of docs/wire.md. Needs the extra `[nats]`.

async with connect("nats://localhost:4222") as bus:
    async for block in bus.stream("Hello.", language="en", format="wav"):
        ...
"""

from voice_cloning_client.errors import InvalidInput

try:
    import msgpack as _msgpack  # noqa: F401
    import nats as _nats  # noqa: F401
except ImportError as error:
    raise InvalidInput(
        f"{error.name} is not installed; run: pip install 'voice-cloning-client[nats]'"
    ) from None

from voice_cloning_client.bus.connection import BusAccess, BusClient, connect
from voice_cloning_client.bus.stream import BusStream

__all__ = ["BusAccess", "BusClient", "BusStream", "connect"]
