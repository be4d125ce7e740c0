"""Atomic changes of a value that several edges share: compare-and-set, with retries."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

from services.common.bus.ports import Bus
from services.common.wire.failures import BusUnavailable

_ATTEMPTS: Final = 50
_PAUSE_S: Final = 0.01  # times the attempt, at most; random, so that writers stop colliding

Change = Callable[
    [bytes], Awaitable[bytes | None]
]  # stored value (empty: none) -> new value; None: unchanged


async def update_atomically(bus: Bus, bucket: str, key: str, change: Change) -> None:
    """Change a value of a key-value bucket by compare-and-set.

    If `change` raises, the value is unchanged. Raises QueueFull, and BusUnavailable if every
    attempt collided.
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
    raise BusUnavailable("too many concurrent writes of one value; retry later")
