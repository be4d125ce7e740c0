"""Tasks that end late, or do not want to end."""

import asyncio

import pytest

from services.common.runtime.lifecycle import cancel_until_done, ended_before, result_within


async def swallowing(cancellations: int) -> str:
    """Retry for ever, as a client does whose inner `wait_for` swallows a cancellation."""
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            cancellations -= 1
            if cancellations < 0:
                raise


@pytest.mark.parametrize("swallowed", [0, 1, 2])
async def test_work_that_swallows_cancellations_still_times_out(swallowed: int) -> None:
    async with asyncio.timeout(60):
        with pytest.raises(TimeoutError):
            await result_within(0.05, swallowing(swallowed))


async def test_a_result_or_an_exception_in_time_is_passed_on() -> None:
    async def answer() -> int:
        return 7

    async def fail() -> int:
        raise ValueError("no")

    assert await result_within(60, answer()) == 7
    with pytest.raises(ValueError, match="no"):
        await result_within(60, fail())


async def test_work_does_not_outlive_a_caller_that_is_cancelled() -> None:
    began = asyncio.Event()
    ended = asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.sleep(600)
        finally:
            ended.set()

    calling = asyncio.create_task(result_within(600, work()))
    await began.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert ended.is_set()


async def test_work_that_swallows_a_cancellation_is_ended_before_a_stop() -> None:
    stop = asyncio.Event()
    stop.set()
    async with asyncio.timeout(60):
        assert not await ended_before(stop, _forgetting(1))


async def _forgetting(cancellations: int) -> None:
    await swallowing(cancellations)


async def test_a_task_that_has_ended_is_left_alone() -> None:
    task = asyncio.create_task(asyncio.sleep(0, "done"))
    await task
    await cancel_until_done(task)
    assert task.result() == "done"
