"""A cancellation that a library loses is raised at the end of the block."""

import asyncio
from collections.abc import Callable

import pytest

from services.common.runtime.cancellation import cancellation_kept


async def loses_its_cancellation(end: Callable[[], str]) -> str:
    """Do as `asyncio.wait_for` before Python 3.12, if its future completes when it is cancelled."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return end()
    raise AssertionError


def returns() -> str:
    return "an answer"


def raises() -> str:
    raise ValueError("an answer too")


@pytest.mark.parametrize("end", [returns, raises])
async def test_a_task_is_cancelled_though_the_block_does_not_end(end: Callable[[], str]) -> None:
    async def work() -> str:
        with cancellation_kept():
            return await loses_its_cancellation(end)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_timeout_around_the_block_ends_it_as_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            with cancellation_kept():
                await loses_its_cancellation(returns)


async def test_a_timeout_in_the_block_and_a_cancellation_before_it_change_nothing() -> None:
    async def work() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:  # it cleans up
            with cancellation_kept():
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await asyncio.Event().wait()
                return "cleaned up"
        raise AssertionError

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "cleaned up"


async def test_an_exception_of_the_block_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match="an answer too"), cancellation_kept():
        raises()
