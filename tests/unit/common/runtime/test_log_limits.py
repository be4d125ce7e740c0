"""Log lines that strangers can cause."""

import logging

import pytest

from services.common.runtime.log_limits import LogLimit, limited_logs


def test_the_first_lines_are_logged_and_the_others_counted() -> None:
    sparing = LogLimit(burst=3, a_second=0.0)
    assert [sparing.allows() for _ in range(10)] == [0, 0, 0, *[None] * 7]
    sparing._tokens = 1
    assert sparing.allows() == 7


def test_the_event_loop_and_the_server_are_limited_while_the_block_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for logger in (logging.getLogger("asyncio"), logging.getLogger("aiohttp.server")):
        caplog.clear()
        with limited_logs():
            for _ in range(1000):
                logger.error("accept of %s failed", "a socket")
        assert 1 <= len(caplog.records) < 50
        logger.error("one more")
        assert caplog.records[-1].getMessage() == "one more"
