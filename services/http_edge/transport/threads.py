"""Work on threads that uses something the task owns, such as a file."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

ResultT = TypeVar("ResultT")


async def on_thread(function: Callable[..., ResultT], *arguments: object) -> ResultT:
    """Run a function on a thread; if this task is cancelled, wait for its end: it uses the arguments."""
    running = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise
