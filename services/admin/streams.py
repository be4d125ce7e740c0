"""Creates the streams, buckets and stores, as the operator: `python -m services.admin streams`.

For a NATS whose users may not: the services run with NATS_ESTABLISH=false there, and say what is missing.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

import msgspec

from services.common.bus.nats.connection import connected_bus
from services.common.runtime.logs import configure_logs
from services.common.runtime.service_process import ProcessSettings
from services.common.runtime.settings import BadSettings, read_settings
from services.common.wire.failures import PipelineError


async def establish(settings: ProcessSettings) -> None:
    """Create what does not exist. Raises BusUnavailable."""
    async with connected_bus(
        msgspec.structs.replace(settings, nats_establish=True), name="establish"
    ):
        return


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the settings and create them."""
    argparse.ArgumentParser(
        prog="python -m services.admin streams", description=__doc__
    ).parse_args(arguments)
    try:
        settings = read_settings(ProcessSettings, os.environ)
        configure_logs("establish", level=settings.log_level, readable=settings.log_readable)
        asyncio.run(establish(settings))
    except (PipelineError, BadSettings) as error:
        sys.exit(f"establish: {error}")


if __name__ == "__main__":
    main()
