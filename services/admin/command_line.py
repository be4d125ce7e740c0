"""Commands on a running server: its address and limits from the environment, output, an exit with one line."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from services.common.bus.nats.connection import connected_bus
from services.common.bus.ports import Bus
from services.common.runtime.service_process import ProcessSettings
from services.common.runtime.settings import BadSettings, read_settings
from services.common.wire.failures import PipelineError


def run_on_bus(
    program: str,
    command: Callable[[Bus], Coroutine[Any, Any, None]],
    *expected: type[Exception],
    may_create_streams: bool = True,
) -> None:
    """Run a command on the server at NATS_URL. Exits with the message of a failure that is expected of it.

    `may_create_streams`: False for a command for which a server without streams is the wrong one.
    """
    failures: tuple[type[Exception], ...] = (PipelineError, BadSettings, *expected)
    try:
        settings = read_settings(ProcessSettings, os.environ)
        if not may_create_streams:
            settings = msgspec.structs.replace(settings, nats_establish=False)
        asyncio.run(_run(program, command, settings))
    except failures as error:
        sys.exit(f"{program}: {error}")


async def _run(
    program: str, command: Callable[[Bus], Coroutine[Any, Any, None]], settings: ProcessSettings
) -> None:
    async with connected_bus(settings, name=program.replace("_", "-")) as bus:
        await command(bus)


def print_line(line: str) -> None:
    """Print a line of the output."""
    print(line)  # noqa: T201
