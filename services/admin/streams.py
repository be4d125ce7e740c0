"""Creates the streams, buckets and stores, as the operator: `python -m services.admin streams`.

For a NATS whose users may not: the services run with NATS_ESTABLISH=false there, and say what is missing. An existing
stream is left unchanged; each limit that differs from the settings is printed. With --apply, limits are raised to the
settings. A lower limit is never applied, as the server would delete what exceeds it.
"""

import argparse
import asyncio
import itertools
import os
import sys
from collections.abc import Sequence
from typing import Final

import msgspec

from services.common.bus import topology
from services.common.bus.config_drift import Difference
from services.common.bus.nats.connection import connected_bus, wanted_topology
from services.common.runtime.logs import configure_logs
from services.common.runtime.service_process import ProcessSettings
from services.common.runtime.settings import BadSettings, read_settings
from services.common.wire.failures import PipelineError
from services.common.wire.fields import Lane

_LANES: Final[tuple[Lane, ...]] = ("express", "standard")


async def establish(
    settings: ProcessSettings, *, apply: bool = False, engines: Sequence[str] = ()
) -> list[str]:
    """Create what does not exist; return a line for each limit that differs. Raises BusUnavailable.

    With `apply`, limits that are lower than in the settings are raised. The consumers of `engines` are created as well:
    KEDA takes the lag of one that does not exist for that of the whole stream, and would start workers for nothing.
    """
    async with connected_bus(
        msgspec.structs.replace(settings, nats_establish=True), name="establish"
    ) as bus:
        for engine, lane in itertools.product(engines, _LANES):
            await bus.pull(topology.sentences_consumer(engine, lane))

        lines = []
        for difference in await bus.drift(wanted_topology(settings)):
            applied = apply and not difference.shrinks and not difference.is_rule
            if applied:
                await bus.change_limit(difference)
            lines.append(f"{difference}; {_result(difference, applied=applied)}")
        return lines


def _result(difference: Difference, *, applied: bool) -> str:
    if applied:
        return "changed"
    if difference.is_rule:
        return "not changed: use `nats stream edit`, or delete the stream when it is empty"
    if difference.shrinks:
        return "not changed: this can delete messages or copies of them; use `nats stream edit`"
    return "--apply changes it"


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the settings and create them."""
    parser = argparse.ArgumentParser(prog="python -m services.admin streams", description=__doc__)
    parser.add_argument(
        "--apply", action="store_true", help="raise limits of existing streams to the settings"
    )
    parser.add_argument(
        "--engines",
        nargs="*",
        default=[os.environ["ENGINE"]] if os.environ.get("ENGINE") else [],
        metavar="NAME",
        help="whose consumers to create before their workers do; default: $ENGINE",
    )
    choice = parser.parse_args(arguments)
    try:
        settings = read_settings(ProcessSettings, os.environ)
        configure_logs("establish", level=settings.log_level, readable=settings.log_readable)
        for line in asyncio.run(establish(settings, apply=choice.apply, engines=choice.engines)):
            print(line)  # noqa: T201
    except (PipelineError, BadSettings) as error:
        sys.exit(f"establish: {error}")


if __name__ == "__main__":
    main()
