"""Creates the streams, buckets and stores, as the operator: `python -m services.establish`.

For a NATS whose users may not: the services run with NATS_ESTABLISH=false there, and say what is missing.
"""

import asyncio
import os
import sys

import msgspec

from services.common.bus.connection import connected_bus
from services.common.runtime.logs import configure_logs
from services.common.runtime.process import ProcessSettings
from services.common.runtime.settings import BadSettings, read_settings
from services.common.wire.failures import PipelineError


async def establish(settings: ProcessSettings) -> None:
    """Create what does not exist. Raises BusUnavailable."""
    async with connected_bus(msgspec.structs.replace(settings, nats_establish=True), name="establish"):
        return


def main() -> None:
    """Read the settings and do it."""
    try:
        settings = read_settings(ProcessSettings, os.environ)
        configure_logs("establish", level=settings.log_level, readable=settings.log_readable)
        asyncio.run(establish(settings))
    except (PipelineError, BadSettings) as error:
        sys.exit(f"establish: {error}")


if __name__ == "__main__":
    main()
