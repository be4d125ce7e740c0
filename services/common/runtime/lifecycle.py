"""Process lifecycle: stop on SIGTERM, SIGINT or SIGHUP, after finishing or returning the work in flight."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, TypeVar

import structlog

log = structlog.get_logger()

ResultT = TypeVar("ResultT")

_MAX_TASKS_LOGGED: Final = 20  # in one line
_CANCEL_AGAIN_S: Final = 1.0


def stop_on_signals() -> asyncio.Event:
    """Return an event that the first SIGTERM, SIGINT or SIGHUP sets; the process keeps running.

    SIGHUP means that the terminal has closed: there is nothing to reload. If it is ignored already, as under `nohup`,
    it stays ignored.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, stop.set)
    return stop


@contextmanager
def exiting_within(seconds: float, stop: asyncio.Event) -> Iterator[None]:
    """Kill this process if the block does not end in time after `stop` is set; log what it waited for."""
    loop = asyncio.get_running_loop()

    def give_up() -> None:
        waiting = sorted(task.get_name() for task in asyncio.all_tasks(loop))
        log.error("stop_overdue", seconds=seconds, waiting=waiting[:_MAX_TASKS_LOGGED])
        os._exit(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True

    async def begin() -> None:
        await stop.wait()
        timer.start()

    beginning = asyncio.create_task(begin(), name="overdue")
    try:
        yield
    finally:
        beginning.cancel()


async def every(seconds: float, act: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Call `act` immediately and then every `seconds`, until `stop` is set."""
    while not stop.is_set():
        await act()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await stop.wait()


async def cancel_until_done(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they have ended, and leave their results in them.

    One cancellation can be lost: `asyncio.wait_for` swallows it if its future completes at the same moment
    (bpo-42130, Python before 3.12). A task that retries in a loop would then run for ever.
    """
    pending = {task for task in tasks if not task.done()}

    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)


async def result_within(seconds: float, work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Return the result of a coroutine. Raises TimeoutError after `seconds`, and what the work raises.

    Unlike `asyncio.wait_for` it also ends if the work swallows a cancellation.
    """
    working = asyncio.create_task(work)

    try:
        await asyncio.wait({working}, timeout=seconds)
    finally:
        await cancel_until_done(working)

    if working.cancelled():
        raise TimeoutError

    return working.result()


async def ended_before(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Await the work and return True; if `stop` is set before, cancel it and return False."""
    working, stopping = (
        asyncio.create_task(work, name="work"),
        asyncio.create_task(stop.wait(), name="stop"),
    )
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working  # re-raises its exception
            return True
        return False
    finally:
        await cancel_until_done(working, stopping)


@asynccontextmanager
async def tasks() -> AsyncIterator[asyncio.TaskGroup]:
    """Run a task group that raises its first failure, not an exception group."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
