"""A value that several edges change at once: each change is made on what it has read, or made again."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

from services.common.bus.ports import Bus
from services.common.wire.failures import BusUnavailable

_ATTEMPTS: Final = 50
_PAUSE_S: Final = 0.01  # times the attempt, at most: those who met go on at different moments

Change = Callable[[bytes], Awaitable[bytes | None]]  # what is stored (empty: nothing) -> what is to be; None: the same


async def update_atomically(bus: Bus, bucket: str, key: str, change: Change) -> None:
    """Change a value of a key-value bucket by compare-and-set.

    What `change` raises leaves it as it is. Raises QueueFull, and BusUnavailable where others were always faster.
    """
    for attempt in range(_ATTEMPTS):
        stored = await bus.get_revision(bucket, key)
        content, revision = (b"", 0) if stored is None else stored
        changed = await change(content)
        if changed is None or changed == content:
            return
        if await bus.update_value(bucket, key, changed, revision):
            return
        await asyncio.sleep(random.uniform(0, _PAUSE_S * (attempt + 1)))  # noqa: S311  # no secret
    raise BusUnavailable("too many write the same value at once; retry later")
