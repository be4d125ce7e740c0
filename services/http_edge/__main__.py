"""Starts an edge: `python -m services.http_edge`."""

import asyncio
import os
import sys

from services.common.runtime.lifecycle import stop_on_signals
from services.common.runtime.logs import configure_logs
from services.common.runtime.settings import BadSettings, read_settings
from services.common.wire.failures import BusUnavailable
from services.http_edge.app import run
from services.http_edge.settings import Settings


async def _main(settings: Settings) -> None:
    await run(settings, stop_on_signals())


if __name__ == "__main__":
    try:
        settings = read_settings(Settings, os.environ)
        configure_logs("http_edge", level=settings.log_level, readable=settings.log_readable)
        asyncio.run(_main(settings))
    except (BadSettings, BusUnavailable) as error:
        sys.exit(f"http_edge: {error}")
