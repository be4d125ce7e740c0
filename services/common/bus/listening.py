"""Waiting for a message of a core subscription, or for the process to stop."""

import asyncio
from typing import Final

from services.common.bus.ports import Received, Subscription
from services.common.runtime.lifecycle import cancel_until_done

_WAIT_S: Final = 5.0


async def next_before(stop: asyncio.Event, listener: Subscription) -> Received | None:
    """Return the next message; None as soon as `stop` is set, or when none came for 5 s."""
    arriving = asyncio.create_task(listener.next(_WAIT_S), name="next message")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait((arriving, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_until_done(arriving, stopping)
    return None if arriving.cancelled() else arriving.result()
