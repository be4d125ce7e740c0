"""Cancellation that a library loses.

Before Python 3.12, `asyncio.wait_for` swallows a cancellation if its future completes at the same moment (bpo-42130).
The services use `asyncio.timeout` instead, but nats-py waits with `asyncio.wait_for`: without a check, a request whose
client disconnects while NATS answers would be spoken to its end.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cancellation_kept() -> Iterator[None]:
    """Raise CancelledError at the end of the block, whatever its outcome, if the task was cancelled in it."""
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()

    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
