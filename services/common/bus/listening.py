"""Waiting for a message, or for the process to stop."""

import asyncio
from typing import Final, Protocol, TypeVar

from services.common.runtime.lifecycle import cancel_until_done

_WAIT_S: Final = 5.0

MessageT_co = TypeVar("MessageT_co", covariant=True)


class Source(Protocol[MessageT_co]):
    """A subscription, or a puller of a work queue."""

    async def next(self, timeout_s: float) -> MessageT_co | None:
        """Return the next message, or None after the timeout."""


async def next_before(
    stop: asyncio.Event, source: Source[MessageT_co], wait_s: float = _WAIT_S
) -> MessageT_co | None:
    """Return the next message; None as soon as `stop` is set, or when none came for `wait_s`."""
    arriving = asyncio.create_task(source.next(wait_s), name="next message")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait((arriving, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_until_done(arriving, stopping)
    return None if arriving.cancelled() else arriving.result()
