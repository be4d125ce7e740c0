"""Logs: what libraries log, as services print it."""

import asyncio.sslproto
import inspect
import json
import re
import subprocess
import sys

NO_NEWS = "returning true from eof_received() has no effect when using ssl"
PROGRAM = f"""
import logging
from services.common.runtime.logs import configure_logs
configure_logs("test")
logging.getLogger("asyncio").warning("{NO_NEWS}")
logging.getLogger("other").warning("{NO_NEWS}")
logging.getLogger("asyncio").warning("a task was destroyed")
"""


def test_warnings_of_libraries_are_events_except_that_at_the_end_of_each_tls_connection() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == [NO_NEWS, "a task was destroyed"]
    assert {event["level"] for event in events} == {"warning"}


def test_that_warning_has_the_words_that_are_left_out() -> None:
    joined = re.sub(r"'\s+'", "", inspect.getsource(asyncio.sslproto))
    assert NO_NEWS in joined
