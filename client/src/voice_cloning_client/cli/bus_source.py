"""The audio of `speak` and `stream` with `--nats`."""

import argparse
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from voice_cloning_client.bus import BusAccess, BusStream, connect
from voice_cloning_client.cli.inputs import speech_options
from voice_cloning_client.errors import InvalidInput
from voice_cloning_client.settings import Timeouts


@asynccontextmanager
async def bus_source(
    options: argparse.Namespace, text: str, chosen: str, timeouts: Timeouts
) -> AsyncGenerator[BusStream, None]:
    """Connect, and yield the audio of a text. Raises InvalidInput, ServiceError, Unavailable."""
    if options.sample_rate is not None:
        raise InvalidInput("--sample-rate is not available over NATS; leave it out")

    access = BusAccess(options.tenant or "", options.nkey_seed_file, options.ca_file)

    async with connect(options.nats, access=access, timeouts=timeouts) as bus:
        stream = await bus.stream(
            text,
            language=options.language,
            voice=options.voice,
            format=chosen,
            seed=options.seed,
            clips=options.clip,
            engine=options.engine,
            **speech_options(options),
        )
        async with stream:
            yield stream
